"""The server's configuration: one frozen object, parsed once at the edge.

Later sources win: defaults, the TOML file, `WINDLASS_*` environment variables, flags.
"""

import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from windlass_server.errors import BadConfiguration
from windlass_server.gateway.origins import is_origin

ENVIRONMENT_PREFIX = "WINDLASS_"
# Variables of the command line client, of agents and of tasks; a server may find them in its
# environment too.
_NOT_OURS = {
    "ATTEMPT",
    "CHECKPOINT_DIR",
    "CA_FILE",
    "CONFIG",
    "JOB_ID",
    "JOB_NAME",
    "JOIN_TOKEN",
    "OUTPUT",
    "PROJECT",
    "RESTORE_FROM",
    "RUN_ID",
    "SERVER",
    "TOKEN",
    "TOKEN_FILE",
}
_OF_AGENTS = "AGENT_"
# In a URL: behind the user, or as an option such as `password` or `sslpassword`.
_PASSWORD = re.compile(r"((?<=://)[^:@/]*:)[^@]*(?=@)|([?&][^=&]*password=)[^&]*", re.IGNORECASE)


_KIND = re.compile(
    r"XID_[0-9]{1,5}|GPU_LOST|GPU_RESET_REQUIRED|GPU_TOO_HOT|ROW_REMAP_PENDING|ROW_REMAP_FAILED"
    r"|ECC_UNCORRECTED",
    re.ASCII,
)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_SECRET = re.compile(r"([0-9A-Fa-f]{64})?", re.ASCII)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PoolConfig(_Section):
    """Nodes of one shape that the operator says there can be; none of them need be there yet."""

    # As large as a node may be.
    name: str = Field(min_length=1, max_length=63)
    count: int = Field(ge=1, le=1_000_000)
    cpu_millis: int = Field(ge=1, le=1_000_000_000)
    memory_bytes: int = Field(ge=1, le=1 << 60)
    gpu_type: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$")
    gpu_count: int = Field(default=0, ge=0, le=1024)

    @model_validator(mode="after")
    def _has_a_type_of_gpu(self) -> Self:
        if self.gpu_count and not self.gpu_type:
            message = "a pool with GPUs needs their gpu_type"
            raise ValueError(message)
        return self


Actions = Literal["IGNORE", "RESTART_TASK", "SUSPECT", "RESET_GPU", "DRAIN"]


class HealthConfig(_Section):
    """What is done about devices that fail.

    Attributes:
        quiet_seconds: how long a suspect GPU must be without a fault.
        burn_in_seconds: how long a GPU must be without a fault after a reset.
        resets: so many resets of a GPU within a day are tried; then its node is drained.
        failed_jobs: a node that has failed so many different jobs within an hour takes no more.
        actions: what is done about a kind of fault, such as `XID_74`, instead of the built-in.
    """

    quiet_seconds: float = Field(default=600.0, ge=0, le=86_400)
    burn_in_seconds: float = Field(default=60.0, ge=0, le=86_400)
    resets: int = Field(default=3, ge=0, le=100)
    failed_jobs: int = Field(default=3, ge=1, le=10_000)
    actions: dict[str, Actions] = {}

    @field_validator("actions")
    @classmethod
    def _are_of_faults(cls, value: dict[str, Actions]) -> dict[str, Actions]:
        for kind in value:
            if not _KIND.fullmatch(kind):
                message = f"{kind!r} is no kind of fault, such as XID_74"
                raise ValueError(message)
        return value


class ServerConfig(_Section):
    """Everything that can be configured.

    Attributes:
        data_dir: directory of the database, logs and secrets; made when it is missing.
        http: where to listen for HTTP, `host:port`; port 0 takes a free one.
        grpc: where to listen for gRPC, `host:port`; port 0 takes a free one.
        database_url: SQLAlchemy URL; empty means SQLite in `data_dir`.
        http_server: which ASGI server answers HTTP.
        log_level: least severe level that is logged.
        log_format: `json`, or `text` for people.
        max_in_flight: unary calls that are answered at the same time.
        max_calls_per_caller: unary calls of one principal that are answered at the same time.
        max_streams_per_caller: streams that one principal may have open.
        heartbeat_seconds: how often an agent must be heard; silent for three times that, its node
            is unreachable.
        write_timeout_seconds: how long the client of a stream or a file may take to make room for what
            it is sent; it is then cut off.
        shutdown_seconds: how long calls in flight may take when the server stops.
        secret_key: master secret as 64 hexadecimal digits, for several servers that share a
            database; empty: `secret.key` in `data_dir`, made on first start.
        project_secrets_keys: keys for the secrets of projects, each as 64 hexadecimal digits: the first
            encrypts, all decrypt; none: one that is derived from the master secret, which always decrypts.
        reflection: whether to serve gRPC reflection, for administrators.
        cors_origins: origins whose pages may use the REST API, such as `https://console.example`; `*`
            for any.
        public_docs: whether `/openapi.json` and `/descriptors.binpb` are answered without a credential.
        objects_url: where checkpoints, artifacts and logs are kept: `file:///directory` or `s3://bucket/prefix`, which is
            reached as the variables `AWS_*` say; empty means `objects` in `data_dir`.
        checkpoint_max_bytes: the largest checkpoint that is kept.
        checkpoints_kept: how many of a job's checkpoints are kept, the newest ones.
        checkpoint_keep_seconds: how long they are kept when the job has ended.
        checkpoint_retry_seconds: the same of a job that has ended without success, where that is longer: a
            retry begins with them.
        checkpoint_forced_seconds: how long a run has to save that must leave its node by force.
        artifact_max_bytes: the largest artifact that is taken.
        artifact_upload_seconds: how long an upload is kept that nobody goes on with.
        source_max_bytes: the largest archive that is taken of what jobs bring along.
        source_project_bytes: how many bytes the archives of a project may have together.
        source_keep_days: how long one is kept that no job names, in days.
        log_archive_seconds: how long after its run's end a log goes from this server's disk into the object
            store, compressed.
        log_retention_days: how long it is kept there, in days; 0: for ever.
        webhook_networks: networks whose addresses webhooks may lead to besides the public ones, such as
            `10.20.0.0/16`, and with plain http, too.
        webhook_retention_days: how long it is kept what webhooks were told, in days.
        public_metrics: whether `/metrics` is answered without a credential.
        otlp_endpoint: an OpenTelemetry collector for traces and metrics, `http://host:port`; empty: none.
        otlp_sample_ratio: the share of traces that are kept, of those that begin at the server.
        otlp_interval_seconds: time between two exports of metrics.
        pools: declared capacity.
        telemetry_days_10s: how long what nodes measured is kept in buckets of 10 seconds, in days.
        telemetry_days_1m: the same of a minute.
        telemetry_days_10m: the same of ten minutes.
        telemetry_days_1h: the same of an hour.
        health: what is done about devices that fail.
    """

    data_dir: Path = Path("windlass-data")
    http: str = "127.0.0.1:8080"
    grpc: str = "127.0.0.1:50051"
    database_url: str = ""
    http_server: Literal["granian", "uvicorn"] = "granian"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "text"
    max_in_flight: int = Field(default=1000, ge=1)
    max_calls_per_caller: int = Field(default=500, ge=1)
    max_streams_per_caller: int = Field(default=2000, ge=1)
    heartbeat_seconds: float = Field(default=10.0, gt=0, le=3600)
    write_timeout_seconds: float = Field(default=60.0, ge=1, le=3600)
    shutdown_seconds: float = Field(default=10.0, ge=0, le=3600)
    secret_key: SecretStr = SecretStr("")
    project_secrets_keys: tuple[SecretStr, ...] = Field(default=(), max_length=16)
    reflection: bool = True
    cors_origins: tuple[str, ...] = ()
    public_docs: bool = False
    public_metrics: bool = False
    otlp_endpoint: str = Field(default="", pattern=r"^(https?://[^/\s]+:[0-9]{1,5}/?)?$")
    otlp_sample_ratio: float = Field(default=1.0, ge=0, le=1)
    otlp_interval_seconds: float = Field(default=30.0, ge=1, le=3600)
    objects_url: str = Field(default="", pattern=r"^((file:///|s3://[^/]).*)?$")
    checkpoint_max_bytes: int = Field(default=100 << 30, ge=0, le=1 << 60)
    checkpoints_kept: int = Field(default=2, ge=1, le=100)
    checkpoint_keep_seconds: float = Field(default=0.0, ge=0, le=10 * 366 * 86400)
    checkpoint_retry_seconds: float = Field(default=86_400.0, ge=0, le=10 * 366 * 86400)
    checkpoint_forced_seconds: float = Field(default=60.0, ge=0, le=86400)
    artifact_max_bytes: int = Field(default=1 << 40, ge=0, le=1 << 60)
    artifact_upload_seconds: float = Field(default=86400.0, ge=1, le=366 * 86400)
    source_max_bytes: int = Field(default=1 << 30, ge=1, le=1 << 40)
    source_project_bytes: int = Field(default=100 << 30, ge=1, le=1 << 60)
    source_keep_days: float = Field(default=30.0, ge=0, le=36_500)
    log_archive_seconds: float = Field(default=3600.0, ge=0, le=10 * 366 * 86400)
    log_retention_days: float = Field(default=0.0, ge=0, le=36_500)
    webhook_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    webhook_retention_days: float = Field(default=7.0, ge=1, le=36_500)
    pools: tuple[PoolConfig, ...] = ()
    # At least what the next level is made of, and as long again.
    telemetry_days_10s: float = Field(default=1.0, ge=0.125, le=36_500)
    telemetry_days_1m: float = Field(default=14.0, ge=0.5, le=36_500)
    telemetry_days_10m: float = Field(default=90.0, ge=2, le=36_500)
    telemetry_days_1h: float = Field(default=730.0, ge=2, le=36_500)
    health: HealthConfig = HealthConfig()

    @field_validator("data_dir", mode="before")
    @classmethod
    def _is_named(cls, value: object) -> object:
        if value == "":
            message = "must not be empty"
            raise ValueError(message)
        return value

    @field_validator("http", "grpc")
    @classmethod
    def _has_host_and_port(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and _PORT.fullmatch(port) and int(port) < 65536):
            message = f"{value!r} is not host:port"
            raise ValueError(message)
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_a_secret(cls, value: SecretStr) -> SecretStr:
        if not _SECRET.fullmatch(value.get_secret_value()):
            message = "is not 64 hexadecimal digits (openssl rand -hex 32)"
            raise ValueError(message)
        return value

    @field_validator("project_secrets_keys")
    @classmethod
    def _are_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for one in value:
            if not one.get_secret_value() or not _SECRET.fullmatch(one.get_secret_value()):
                message = "one of them is not 64 hexadecimal digits (openssl rand -hex 32)"
                raise ValueError(message)
        return value

    @field_validator("pools")
    @classmethod
    def _have_names_of_their_own(cls, value: tuple[PoolConfig, ...]) -> tuple[PoolConfig, ...]:
        if len({pool.name for pool in value}) < len(value):
            message = "two pools have the same name"
            raise ValueError(message)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not is_origin(origin):
                message = f"{origin!r} is not an origin, such as https://console.example"
                raise ValueError(message)
        return value

    @field_validator(
        "cors_origins",
        "pools",
        "health",
        "project_secrets_keys",
        "webhook_networks",
        mode="before",
    )
    @classmethod
    def _from_text(cls, value: object) -> object:
        # As JSON, in the environment.
        return json.loads(value) if isinstance(value, str) else value

    @field_serializer("database_url")
    def _without_password(self, value: str) -> str:
        return _PASSWORD.sub(r"\1\2***", value)

    @property
    def telemetry_days(self) -> tuple[float, ...]:
        """How long each level of detail is kept, from the finest on."""
        return (
            self.telemetry_days_10s,
            self.telemetry_days_1m,
            self.telemetry_days_10m,
            self.telemetry_days_1h,
        )

    @property
    def open_addresses(self) -> list[str]:
        """The addresses that other machines can reach; what goes there and back is not encrypted."""
        return [one for one in (self.http, self.grpc) if not _is_loopback(one.rpartition(":")[0])]

    @property
    def effective_database_url(self) -> str:
        """The database's URL, by default a SQLite file in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'windlass.db'}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]
) -> ServerConfig:
    """The configuration of file, environment and flags together.

    Raises:
        BadConfiguration: an unknown key or a value that is not acceptable, named in one line.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values |= _read(file)
    values |= _from_environment(environment)
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        return ServerConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_sentence(problem) for problem in error.errors())
        message = f"bad configuration: {problems}"
        raise BadConfiguration(message) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        message = f"cannot read the configuration file {file}: {error}"
        raise BadConfiguration(message) from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    keys = {
        name.removeprefix(ENVIRONMENT_PREFIX): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    return {
        key.lower(): value
        for key, value in keys.items()
        if key not in _NOT_OURS and not key.startswith(_OF_AGENTS)
    }


def _sentence(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    return f"{key}: {problem['msg'].removeprefix('Value error, ').lower()}"
