"""Every store is tested on both engines."""

from tests.support.databases import acting, database, database_url, engines

__all__ = ["acting", "database", "database_url", "engines"]
