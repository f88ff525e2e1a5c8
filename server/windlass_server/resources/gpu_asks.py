"""What is asked for of GPUs."""

from windlass.types.v1 import types_pb2


def gpu_count_of(resources: types_pb2.ResourceRequest) -> int:
    """How many GPUs are asked for; one where only their kind, or a share of one, is said."""
    kind = resources.mig_profile or resources.gpu_memory_bytes or resources.gpu_millis
    return resources.gpu_count or int(bool(kind))
