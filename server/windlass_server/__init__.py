"""The windlass server: gateway, services and controllers in one process."""

from importlib.metadata import version

__version__ = version("windlass")
