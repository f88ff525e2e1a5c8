"""Which secrets of their projects jobs ask for, and whether they may have them."""

from collections.abc import Mapping

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, require
from windlass_server.errors import FieldViolation, InvalidInput, NotFound
from windlass_server.storage.tables import SecretVersionRow
from windlass_server.storage.transaction import Transaction

MAX_BYTES = 1024 * 1024
"""Of the secrets of a job together: more no command can be started with."""
_FIELD = "job.environment.secrets"


def require_secrets(tx: Transaction, who: Caller, spec: job_pb2.Job) -> None:
    """Refuse a job that asks for secrets that are not there, or not for the caller.

    Raises:
        Denied: the caller may not use secrets of the project.
        NotFound: SECRET_NOT_FOUND.
        InvalidInput: SECRET_NOT_TEXT, or SECRETS_TOO_LARGE.
    """
    asked = spec.environment.secrets
    if not asked:
        return
    require(who, "secrets.use", spec.project)
    found = wanted_versions(tx, spec.project, asked)
    size = 0
    for variable, reference in sorted(asked.items()):
        version = found.get(variable)
        if version is None:
            raise _absent(reference)
        if not (version.is_text or reference.file):
            message = (
                f"secret {reference.name!r} has a NUL, which no variable can hold: ask for a file"
            )
            raise _refused(f"{_FIELD}[{variable}]", message, "SECRET_NOT_TEXT")
        size += version.size_bytes
    if size > MAX_BYTES:
        message = f"the secrets have {size} bytes together; a job can have {MAX_BYTES}"
        raise _refused(_FIELD, message, "SECRETS_TOO_LARGE")


def wanted_versions(
    tx: Transaction, project: str, asked: Mapping[str, job_pb2.SecretReference]
) -> dict[str, SecretVersionRow]:
    """The values that are meant by now, by variable; those that there are not are left out."""
    secrets = tx.secrets.of_names(project, {one.name for one in asked.values()})
    keys = {
        variable: (one.name, one.version or secrets[one.name].version)
        for variable, one in asked.items()
        if one.name in secrets
    }
    versions = tx.secrets.versions_of(project, set(keys.values()))
    return {variable: versions[key] for variable, key in keys.items() if key in versions}


def named(reference: job_pb2.SecretReference) -> str:
    """What a job asks for, in words."""
    of = f" in version {reference.version}" if reference.version else ""
    return f"secret {reference.name!r}{of}"


def _absent(reference: job_pb2.SecretReference) -> NotFound:
    message = f"there is no {named(reference)}"
    return NotFound(message, reason="SECRET_NOT_FOUND", kind="secret", id=reference.name)


def _refused(field: str, message: str, reason: str) -> InvalidInput:
    violations = (FieldViolation(field, message, reason),)
    return InvalidInput(message, reason=reason, violations=violations)
