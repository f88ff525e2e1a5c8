"""How the agent reaches the server."""

import grpc
import grpc.aio

from windlass_agent.config import AgentConfig, ConfigError

_MIB = 1 << 20
_OPTIONS: tuple[tuple[str, int], ...] = (
    # Without a pool of its own, a second channel to the same address shares the first one's
    # connection, and bulk on it would delay control.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", 16 * _MIB),
    ("grpc.max_receive_message_length", 16 * _MIB),
    # A cable that was pulled is noticed by the kernel only after minutes.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The agent decides about trying again; a channel lives for one stream.
    ("grpc.enable_retries", 0),
)


def channel_to(config: AgentConfig) -> grpc.aio.Channel:
    """A new connection of its own to the server.

    Raises:
        ConfigError: the certificate file cannot be read.
    """
    options = _OPTIONS
    if config.loopback:
        # What is on this machine is never reached through a proxy for the web.
        options = (*_OPTIONS, ("grpc.enable_http_proxy", 0))
    if config.insecure or (config.loopback and config.ca_file is None):
        return grpc.aio.insecure_channel(config.server, options=options)
    return grpc.aio.secure_channel(config.server, _credentials(config), options=options)


def _credentials(config: AgentConfig) -> grpc.ChannelCredentials:
    try:
        roots = config.ca_file.read_bytes() if config.ca_file else None
    except OSError as error:
        raise ConfigError(f"cannot read {config.ca_file}: {error.strerror}") from None
    return grpc.ssl_channel_credentials(root_certificates=roots)
