"""First stage: time, names, secrets, state and logs, which everything else stands on."""

from dataclasses import dataclass

from windlass_server import __version__
from windlass_server.access.secrets import Secrets, load_secrets
from windlass_server.clock import Clock, SystemClock
from windlass_server.config import ServerConfig
from windlass_server.controllers.hints import Hints
from windlass_server.data_dir import DataDir
from windlass_server.hub import EventHub
from windlass_server.ids import IdSource
from windlass_server.meters import Meters
from windlass_server.objects.log_archive import LogArchive
from windlass_server.objects.logs import LogStore
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every later stage is given."""

    config: ServerConfig
    data_dir: DataDir
    database: Database
    clock: Clock
    ids: IdSource
    secrets: Secrets
    page_tokens: PageTokens
    meters: Meters
    hub: EventHub
    log_archive: LogArchive
    logs: LogStore
    hints: Hints


def lay_foundation(config: ServerConfig, data_dir: DataDir, database: Database) -> Foundation:
    """Load the secrets and open the logs beside a database that is open."""
    clock = SystemClock()
    secrets = load_secrets(config.data_dir, config.secret_key.get_secret_value())
    hub = EventHub()
    ids = IdSource(clock)
    objects = ObjectStore.open(config.objects_url, data_dir.path / "objects")
    name = data_dir.server_id(lambda: ids.new("server"))
    log_archive = LogArchive(database, objects, clock, name)
    return Foundation(
        config=config,
        data_dir=data_dir,
        database=database,
        clock=clock,
        ids=ids,
        secrets=secrets,
        page_tokens=PageTokens(secrets.page_token_key),
        meters=Meters(__version__, database.name),
        hub=hub,
        log_archive=log_archive,
        logs=LogStore(data_dir.folder("logs"), hub, log_archive),
        hints=Hints(),
    )
