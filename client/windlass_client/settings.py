"""Where the server is and who the caller is: arguments first, then the environment.

| setting | environment | default |
|---|---|---|
| server  | WINDLASS_SERVER | `127.0.0.1:50051` |
| token   | WINDLASS_TOKEN, or the file that WINDLASS_TOKEN_FILE names | none |
| project | WINDLASS_PROJECT | the caller's default project, which the server knows |
| CA file | WINDLASS_CA_FILE | the system's authorities |

A server is `host:port`, `https://host:port` (TLS), `http://host:port` (plaintext) or
`unix:/path`. Without a scheme, an address of this machine is plaintext and any other is TLS, so
that a token never crosses a network in the clear unless `http://` asks for it.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from windlass_client.errors import InvalidArgument

DEFAULT_SERVER = "127.0.0.1:50051"
DEFAULT_PORT = 50051


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed server address.

    Attributes:
        address: what grpc is given: `host:port` or `unix:/path`.
        tls: whether the connection is encrypted.
        local: whether the server is on this machine.
    """

    address: str
    tls: bool
    local: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a client needs to know before its first call.

    Attributes:
        server: the address as it was given.
        token: API key or access token, sent as `authorization: Bearer`; never shown by `repr`.
        project: the project of requests that name none; empty leaves it to the server.
        ca_file: PEM file of the authorities that may sign the server's certificate.
    """

    server: str = DEFAULT_SERVER
    token: str | None = field(default=None, repr=False)
    project: str = ""
    ca_file: Path | None = None

    @property
    def target(self) -> Target:
        """The parsed address. Raises InvalidArgument when it is none."""
        return parse_server(self.server)

    @classmethod
    def load(
        cls,
        *,
        server: str | None = None,
        token: str | None = None,
        project: str | None = None,
        environ: Mapping[str, str] | None = None,
        token_files: tuple[Path, ...] = (),
    ) -> "Settings":
        """Merge arguments over the environment.

        Args:
            server: address of the server.
            token: the credential.
            project: the default project.
            environ: the environment; the process's own by default.
            token_files: files to look for a token in when nothing else gives one and the server is
                on this machine; those that are absent are passed over.

        Raises:
            InvalidArgument: an address that is none, or a named token file that cannot be read.
        """
        env = os.environ if environ is None else environ
        address = server or env.get("WINDLASS_SERVER") or DEFAULT_SERVER
        target = parse_server(address)
        named_file = env.get("WINDLASS_TOKEN_FILE", "")
        token = token or env.get("WINDLASS_TOKEN")
        if not token and named_file:
            token = _named_token(named_file)
        elif not token and target.local:
            # Nobody said that this one is for a server elsewhere.
            token = _found_token(token_files)
        ca_file = env.get("WINDLASS_CA_FILE")
        return cls(
            server=address,
            token=_sendable(token),
            project=project or env.get("WINDLASS_PROJECT", ""),
            ca_file=Path(ca_file) if ca_file else None,
        )


def parse_server(server: str) -> Target:
    """Parse a server address, as the module's docstring has it.

    Raises:
        InvalidArgument: when it is not an address.
    """
    if server.startswith("unix:"):
        return Target(server, tls=False, local=True)
    scheme, separator, rest = server.partition("://")
    if not separator:
        scheme, rest = "", server
    host, port = _host_and_port(rest.rstrip("/"))
    if scheme not in ("", "http", "https", "grpc", "grpcs") or not host or not _is_port(port):
        raise InvalidArgument(
            f"{server!r} is not a server address; write host:port, https://host:port or unix:/path",
            reason="BAD_SERVER_ADDRESS",
        )
    local = _is_loopback(host)
    tls = scheme in ("https", "grpcs") or (scheme == "" and not local)
    literal = f"[{host}]" if ":" in host else host
    return Target(f"{literal}:{port}", tls=tls, local=local)


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":") or str(DEFAULT_PORT)
    if text.count(":") > 1:
        return text, str(DEFAULT_PORT)
    host, _, port = text.partition(":")
    return host, port or str(DEFAULT_PORT)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _named_token(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidArgument(
            f"cannot read the token file {path} (WINDLASS_TOKEN_FILE): {reason}",
            reason="BAD_TOKEN_FILE",
        ) from error


def _found_token(paths: tuple[Path, ...]) -> str | None:
    for path in paths:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _sendable(token: str | None) -> str | None:
    """The token without surrounding blanks; it travels in a header, so only visible ASCII passes."""
    token = (token or "").strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise InvalidArgument("the token holds characters that no token has", reason="BAD_TOKEN")
    return token or None
