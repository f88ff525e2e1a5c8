"""Metadata between HTTP and an upstream: what goes along with a call, and what comes back."""

from collections.abc import Iterable

from windlass_server.gateway.dispatch import OutgoingCall

_FORWARDED_FOR = "x-forwarded-for"


def to_send(call: OutgoingCall) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata of a call, with the address of whoever the gateway calls for."""
    metadata = dict(call.metadata)
    # gRPC's own clients set this name by themselves and would overwrite ours.
    if (agent := metadata.pop("user-agent", None)) is not None:
        metadata["x-forwarded-user-agent"] = agent
    if host := call.peer.rpartition(":")[0].strip("[]"):
        before = metadata.get(_FORWARDED_FOR)
        metadata[_FORWARDED_FOR] = f"{before}, {host}" if isinstance(before, str) else host
    return tuple(metadata.items())


def add_answered(
    answered: dict[str, str | bytes], metadata: Iterable[tuple[str, str | bytes]] | None
) -> None:
    """Add what an upstream answered; a name that comes several times is one list, as in HTTP."""
    for name, value in metadata or ():
        before = answered.get(name)
        if isinstance(before, str) and isinstance(value, str):
            answered[name] = f"{before}, {value}"
        else:
            answered[name] = value
