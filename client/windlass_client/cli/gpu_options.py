"""The options that ask for a part of a GPU: who gives one asks for something."""

from typing import Annotated

import typer

from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_bytes, parse_gpu_share

GpuProfileOption = Annotated[
    str, typer.Option(help="Instead of whole GPUs: MIG instances, such as 1g.10gb.")
]
GpuMemoryOption = Annotated[
    str | None, typer.Option(help="The smallest GPUs, whole or MIG, with this much memory each.")
]
GpuShareOption = Annotated[
    str | None, typer.Option(help="Of one GPU that others use too, such as 0.25.")
]


def asked_memory(text: str | None) -> int:
    """The bytes of a `--gpu-memory`, 0 when it is not given. Raises InvalidArgument."""
    if text is None:
        return 0
    try:
        size = parse_bytes(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"--gpu-memory {error.message}", reason=error.reason) from None
    if not size:
        message = f"--gpu-memory {text!r} asks for no memory; write such as 20GiB, or leave it out"
        raise InvalidArgument(message, reason="BAD_SIZE")
    return size


def asked_share(text: str | None) -> int | str:
    """A `--gpu-share` as it was given, 0 when it was not. Raises InvalidArgument."""
    if text is None:
        return 0
    if not parse_gpu_share(text):
        message = f"--gpu-share {text!r} asks for no share; write such as 0.25, or leave it out"
        raise InvalidArgument(message, reason="BAD_GPU_SHARE")
    return text
