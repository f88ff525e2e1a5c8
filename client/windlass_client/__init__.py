"""The typed Python client of windlass, and the `windlass` command.

    from windlass_client import Client

    with Client() as windlass:
        job = windlass.jobs.submit(["python3", "/srv/vision/train.py"], gpus=1)
        for line in windlass.jobs.logs(job.job_id, follow=True):
            ...
        job = windlass.jobs.wait(job.job_id)

Names are imported when they are first used, so that `windlass --help` does not pay for grpc.
"""

import importlib
import os
from typing import TYPE_CHECKING

# Both must be set before grpc is first imported: its fork handlers abort a process that forks while
# it runs an event loop, and its C core writes connection failures, which we raise, to stderr.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

if TYPE_CHECKING:
    from windlass_client.client import AsyncClient, Client
    from windlass_client.errors import (
        Aborted,
        AlreadyExists,
        Cancelled,
        Conflict,
        DeadlineExceeded,
        FailedPrecondition,
        FieldViolation,
        Internal,
        InvalidArgument,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        WindlassError,
    )
    from windlass_client.retries import RetryPolicy
    from windlass_client.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "RetryPolicy",
    "Settings",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "WindlassError",
]

_HOMES = {
    "AsyncClient": "client",
    "Client": "client",
    "RetryPolicy": "retries",
    "Settings": "settings",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module that holds it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
