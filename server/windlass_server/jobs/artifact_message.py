"""Artifacts as messages."""

from windlass.jobs.v1 import artifact_pb2
from windlass_server.storage.artifacts import State
from windlass_server.storage.tables import ArtifactRow
from windlass_server.timestamps import to_proto


def artifact_message(row: ArtifactRow) -> artifact_pb2.Artifact:
    """An artifact; one that has been removed as it was."""
    message = artifact_pb2.Artifact.FromString(row.details)
    message.MergeFrom(
        artifact_pb2.Artifact(
            artifact_id=row.artifact_id,
            job_id=row.job_id,
            project=row.project,
            name=row.name,
            version=row.version or 0,
            type=row.type,  # type: ignore[arg-type]
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            user=row.user,
            state=State.UPLOADING if row.finished_at is None else State.READY,  # type: ignore[arg-type]
            run_id=row.run_id or "",
            rank=row.rank,
            attempt=row.attempt,
            create_time=to_proto(row.created_at),
        )
    )
    if row.finished_at is not None:
        message.finish_time.CopyFrom(to_proto(row.finished_at))
    return message


def details_of(metadata: dict[str, str], content_type: str) -> bytes:
    """What is kept of an uploader's words that have no columns."""
    said = artifact_pb2.Artifact(metadata=metadata, content_type=content_type)
    return said.SerializeToString(deterministic=True)
