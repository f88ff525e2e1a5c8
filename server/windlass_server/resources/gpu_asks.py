"""What is asked for of GPUs, and what of that cannot be given."""

from windlass.types.v1 import types_pb2
from windlass_server.errors import FieldViolation, InvalidInput

_PARTS = ("gpu_millis",)


def gpu_count_of(resources: types_pb2.ResourceRequest) -> int:
    """How many GPUs are asked for; one where only their kind is said."""
    kind = resources.mig_profile or resources.gpu_memory_bytes
    return resources.gpu_count or int(bool(kind))


def require_whole_gpus(resources: types_pb2.ResourceRequest, field: str) -> None:
    """Refuse a request for parts of GPUs. Raises InvalidInput; `field` is where the request stands."""
    violations = tuple(
        FieldViolation(f"{field}.{name}", "cannot be asked for yet", "GPU_PARTS_UNAVAILABLE")
        for name in _PARTS
        if getattr(resources, name)
    )
    if violations:
        message = "; ".join(f"{one.field} {one.description}" for one in violations)
        raise InvalidInput(message, reason="GPU_PARTS_UNAVAILABLE", violations=violations)
