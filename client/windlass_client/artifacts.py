"""Files that belong to jobs: brought to the server, and taken from it, over lines that break."""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import grpc
from google.api import httpbody_pb2

from windlass.jobs.v1 import artifact_pb2 as pb
from windlass.jobs.v1 import jobs_service_pb2_grpc
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    built,
    listing,
    operation,
    unary,
)
from windlass_client.connect import AioTransport, BlockingTransport, Manner
from windlass_client.errors import InvalidArgument, Unavailable, WindlassError
from windlass_client.resuming import Resuming

Artifact = pb.Artifact
ArtifactType = pb.Artifact.Type
TYPE_NAMES = tuple(value.name for value in ArtifactType.DESCRIPTOR.values if value.number)

OnProgress = Callable[[int], None]
"""Called with how many bytes are there."""

_Stub = jobs_service_pb2_grpc.JobsServiceStub
LIST = unary(_Stub, lambda stub: stub.ListJobArtifacts, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetJobArtifact, idempotent=True)
FINISH = unary(_Stub, lambda stub: stub.FinishJobArtifact, idempotent=True)
# A repeat would begin another upload, which is removed after a while.
BEGIN = unary(_Stub, lambda stub: stub.BeginJobArtifact, idempotent=True)
# Sent once: a repeat would be told that it is gone.
DELETE = unary(_Stub, lambda stub: stub.DeleteJobArtifact, idempotent=False)

_CHUNK_BYTES = 1 << 20
_FINISH_SECONDS = 3600.0


def parse_type(name: str) -> ArtifactType:
    """The type of a name in any case. Raises InvalidArgument."""
    if name.upper() not in TYPE_NAMES:
        raise InvalidArgument(
            f"{name!r} is not a type; there are {', '.join(TYPE_NAMES)}", reason="BAD_TYPE"
        )
    return cast("ArtifactType", ArtifactType.Value(name.upper()))


class ArtifactCalls(Group):
    """Requests about artifacts."""

    @listing
    def list(
        self,
        job_id: str,
        *,
        name: str = "",
        type: "ArtifactType | None" = None,  # noqa: A002 - as the field is called
        run_id: str = "",
        show_unfinished: bool = False,
        page_size: int = 0,
    ) -> Pages[pb.ListJobArtifactsRequest, pb.ListJobArtifactsResponse, Artifact]:
        """Iterate over the artifacts of a job, newest first.

        Args:
            job_id: the job.
            name: only those of this name, all versions.
            type: only those of this type.
            run_id: only those that this run left.
            show_unfinished: also those that are still uploaded.
            page_size: how many are fetched at once.
        """
        request = pb.ListJobArtifactsRequest(
            job_id=job_id,
            name=name,
            type=type,
            run_id=run_id,
            show_unfinished=show_unfinished,
            page_size=page_size,
        )
        return Pages(LIST, request, lambda page: page.artifacts)

    @operation
    def get(self, job_id: str, artifact_id: str) -> Call[pb.GetJobArtifactRequest, Artifact]:
        """Read what there is to know of an artifact. Raises NotFound."""
        return Call(GET, pb.GetJobArtifactRequest(job_id=job_id, artifact_id=artifact_id))

    @operation
    def delete(self, job_id: str, artifact_id: str) -> Call[pb.DeleteJobArtifactRequest, Artifact]:
        """Remove an artifact, or give its upload up; answers it as it was. Raises NotFound."""
        return Call(DELETE, pb.DeleteJobArtifactRequest(job_id=job_id, artifact_id=artifact_id))

    @operation
    def begin(
        self,
        job_id: str,
        name: str,
        *,
        type: "ArtifactType | None" = None,  # noqa: A002 - as the field is called
        metadata: Mapping[str, str] | None = None,
        content_type: str = "",
        size_bytes: int | None = None,
    ) -> Call[pb.BeginJobArtifactRequest, Artifact]:
        """Begin an upload; what is written to it is kept whatever breaks off.

        Args:
            job_id: the job.
            name: what the artifact is called.
            type: what it is; by default as the ending of its name says.
            metadata: what else there is to know of it.
            content_type: its media type.
            size_bytes: its length, if that is known.
        """
        request = pb.BeginJobArtifactRequest(
            job_id=job_id,
            name=name,
            type=type,
            metadata=[f"{key}={value}" for key, value in (metadata or {}).items()],
            content_type=content_type,
            size_bytes=size_bytes,
        )
        return Call(BEGIN, request)

    @operation
    def finish(
        self, job_id: str, artifact_id: str, *, sha256: str = ""
    ) -> Call[pb.FinishJobArtifactRequest, Artifact]:
        """Let others see what has been written, if it has this digest. Harmless when repeated."""
        request = pb.FinishJobArtifactRequest(job_id=job_id, artifact_id=artifact_id, sha256=sha256)
        return Call(FINISH, request)


class Artifacts(ArtifactCalls, SyncGroup):
    """Artifacts, blocking."""

    def __init__(self, transport: BlockingTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def upload(
        self,
        job_id: str,
        file: "str | os.PathLike[str]",
        *,
        name: str = "",
        type: "ArtifactType | None" = None,  # noqa: A002 - as the field is called
        metadata: Mapping[str, str] | None = None,
        content_type: str = "",
        resume: str = "",
        on_progress: OnProgress | None = None,
    ) -> Artifact:
        """Upload a file. It goes on by itself when the connection breaks, and is compared by its digest.

        Args:
            job_id: the job.
            file: the file.
            name: what the artifact is called; the file's name by default.
            type: what it is; by default as the ending of its name says.
            metadata: what else there is to know of it.
            content_type: its media type.
            resume: id of an artifact whose upload broke off before: go on with that.
            on_progress: told how many bytes the server has been sent.

        Raises:
            InvalidArgument: the file cannot be read, or changes while it is uploaded.
            NotFound: there is no such job, or no such upload.
        """
        sent = _File(file)
        begun = (
            self.get(job_id, resume)
            if resume
            else self.begin(
                job_id,
                name or sent.name,
                type=type,
                metadata=metadata,
                content_type=content_type,
                size_bytes=sent.size,
            )
        )
        upload = _Progress(begun, sent.size, self._wire.manner)
        while not upload.written:
            try:
                upload.note(self._wire.push(_write, sent.messages(upload.artifact, on_progress)))
            except WindlassError as error:
                sent.check()
                time.sleep(upload.wait(error))
                upload.note(self.get(job_id, begun.artifact_id))
        view = Artifacts(self._wire.patient(_FINISH_SECONDS), self.project)
        return view.finish(job_id, begun.artifact_id, sha256=sent.sha256())

    def download(
        self, job_id: str, artifact_id: str, *, on_progress: OnProgress | None = None
    ) -> Iterator[bytes]:
        """Iterate over the content of an artifact, compared by its digest at the end.

        It goes on by itself when the connection breaks.

        Raises:
            NotFound: there is no such artifact, or not all of it is there any more.
            Unavailable: what came is not what the server has (`ARTIFACT_DIGEST_DIFFERS`).
        """
        reading = _Reading(self.get(job_id, artifact_id), self._wire.manner)
        while not reading.ended:
            try:
                for piece in self._wire.stream(_download, reading.request()):
                    yield reading.take(piece.data)
                    if on_progress:
                        on_progress(reading.size)
                reading.stopped()
            except WindlassError as error:
                time.sleep(reading.wait(error))
        reading.check()


class AsyncArtifacts(ArtifactCalls, AsyncGroup):
    """Artifacts for asyncio."""

    def __init__(self, transport: AioTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    async def upload(
        self,
        job_id: str,
        file: "str | os.PathLike[str]",
        *,
        name: str = "",
        type: "ArtifactType | None" = None,  # noqa: A002 - as the field is called
        metadata: Mapping[str, str] | None = None,
        content_type: str = "",
        resume: str = "",
        on_progress: OnProgress | None = None,
    ) -> Artifact:
        """Upload a file; see `Artifacts.upload`."""
        sent = _File(file)
        begun = await (
            self.get(job_id, resume)
            if resume
            else self.begin(
                job_id,
                name or sent.name,
                type=type,
                metadata=metadata,
                content_type=content_type,
                size_bytes=sent.size,
            )
        )
        upload = _Progress(begun, sent.size, self._wire.manner)
        while not upload.written:
            try:
                messages = sent.messages_in_turns(upload.artifact, on_progress)
                upload.note(await self._wire.push(_write, messages))
            except WindlassError as error:
                sent.check()
                await asyncio.sleep(upload.wait(error))
                upload.note(await self.get(job_id, begun.artifact_id))
        view = AsyncArtifacts(self._wire.patient(_FINISH_SECONDS), self.project)
        digest = await asyncio.to_thread(sent.sha256)
        return await view.finish(job_id, begun.artifact_id, sha256=digest)

    async def download(
        self, job_id: str, artifact_id: str, *, on_progress: OnProgress | None = None
    ) -> AsyncIterator[bytes]:
        """Iterate over the content of an artifact; see `Artifacts.download`."""
        reading = _Reading(await self.get(job_id, artifact_id), self._wire.manner)
        while not reading.ended:
            try:
                async for piece in self._wire.stream(_download, reading.request()):
                    yield reading.take(piece.data)
                    if on_progress:
                        on_progress(reading.size)
                reading.stopped()
            except WindlassError as error:
                await asyncio.sleep(reading.wait(error))
        reading.check()


_Write: TypeAlias = "grpc.StreamUnaryMultiCallable[pb.WriteJobArtifactRequest, pb.Artifact]"
_Download: TypeAlias = (
    "grpc.UnaryStreamMultiCallable[pb.DownloadJobArtifactRequest, httpbody_pb2.HttpBody]"
)


def _write(channel: grpc.Channel) -> "_Write":
    return _Stub(channel).WriteJobArtifact


def _download(channel: grpc.Channel) -> "_Download":
    return _Stub(channel).DownloadJobArtifact


class _Resuming(Resuming):
    """Goes on with a transfer unless what broke it does not pass by itself."""

    def wait(self, why: WindlassError) -> float:
        """As `Resuming.wait`."""
        if why.reason in ("OBJECT_STORE_FULL", "QUOTA"):
            raise why
        return super().wait(why)


class _Progress(_Resuming):
    """How far an upload is."""

    def __init__(self, artifact: Artifact, size: int, manner: Manner) -> None:
        super().__init__(manner)
        self.artifact = artifact
        self._size = size
        if artifact.size_bytes > size:
            message = f"the server has {artifact.size_bytes} bytes already, and the file {size}"
            raise InvalidArgument(message, reason="ARTIFACT_SIZE_DIFFERS")

    @property
    def written(self) -> bool:
        """Whether the server has all of it."""
        return self.artifact.size_bytes == self._size or self.artifact.state == Artifact.READY

    def note(self, artifact: Artifact) -> None:
        """Note how much the server has."""
        if artifact.size_bytes > self.artifact.size_bytes:
            self.went_on()
        self.artifact = artifact
        if artifact.size_bytes > self._size:
            raise _changed()


class _Reading(_Resuming):
    """How far a download is."""

    def __init__(self, artifact: Artifact, manner: Manner) -> None:
        super().__init__(manner)
        self._artifact = artifact
        self._digest = hashlib.sha256()
        self.size = 0
        self.ended = False

    def request(self) -> pb.DownloadJobArtifactRequest:
        """What to ask for: all that is missing."""
        return built(
            pb.DownloadJobArtifactRequest,
            job_id=self._artifact.job_id,
            artifact_id=self._artifact.artifact_id,
            offset=self.size,
        )

    def take(self, data: bytes) -> bytes:
        """Note what has come."""
        self.went_on()
        self._digest.update(data)
        self.size += len(data)
        return data

    def stopped(self) -> None:
        """Note that a stream has ended; raises Unavailable when that is too early."""
        self.ended = self.size >= self._artifact.size_bytes
        if not self.ended:
            raise Unavailable("the stream stopped before its end", reason="DOWNLOAD_BROKEN")

    def check(self) -> None:
        """Raise Unavailable when what came is not the artifact."""
        if self._digest.hexdigest() != self._artifact.sha256:
            text = "what came is not what the artifact's digest says"
            raise Unavailable(text, reason="ARTIFACT_DIGEST_DIFFERS")


class _File:
    """A file that is uploaded, from any position on.

    Its digest is taken from what is read on the way, and of what was sent before from the file.
    """

    def __init__(self, file: "str | os.PathLike[str]") -> None:
        self._path = Path(file)
        try:
            if not self._path.is_file():
                raise InvalidArgument(f"{self._path} is no file", reason="BAD_FILE")
            self.size = self._path.stat().st_size
        except OSError as error:
            raise self._unreadable(error) from None
        self.name = self._path.name
        self._digest = hashlib.sha256()
        self._digested = 0
        self._trouble: InvalidArgument | None = None
        # What reads for a call that broke off may go on for a moment.
        self._lock = threading.Lock()

    def messages(
        self, artifact: Artifact, on_progress: OnProgress | None
    ) -> Iterator[pb.WriteJobArtifactRequest]:
        """What to send of it: all that the server does not have."""
        position = artifact.size_bytes
        for data in self._pieces(position):
            request = pb.WriteJobArtifactRequest(content=httpbody_pb2.HttpBody(data=data))
            if position == artifact.size_bytes:
                request.job_id, request.artifact_id = artifact.job_id, artifact.artifact_id
                request.offset = position
            position += len(data)
            yield request
            if on_progress:
                on_progress(position)

    async def messages_in_turns(
        self, artifact: Artifact, on_progress: OnProgress | None
    ) -> AsyncIterator[pb.WriteJobArtifactRequest]:
        """The same, read in threads."""
        messages = self.messages(artifact, on_progress)
        while (message := await asyncio.to_thread(next, messages, None)) is not None:
            yield message

    def sha256(self) -> str:
        """The digest of all of it."""
        for _ in self._pieces(self._digested):
            pass
        return self._digest.hexdigest()

    def check(self) -> None:
        """Raise what kept it from being read: grpc does not say why the messages of a call failed."""
        if self._trouble is not None:
            raise self._trouble

    def _pieces(self, position: int) -> Iterator[bytes]:
        try:
            with self._path.open("rb", buffering=0) as file:
                # What the server has from before has to be in the digest, too.
                for at, data in self._read(file, min(position, self._digested), position):
                    self._note(at, data)
                for at, data in self._read(file, position, self.size):
                    self._note(at, data)
                    yield data
        except OSError as error:
            self._trouble = self._unreadable(error)
            raise self._trouble from None

    def _read(self, file: BinaryIO, position: int, end: int) -> Iterator[tuple[int, bytes]]:
        file.seek(position)
        while position < end:
            data = file.read(min(_CHUNK_BYTES, end - position))
            if not data:
                self._trouble = _changed()
                raise self._trouble
            yield position, data
            position += len(data)

    def _note(self, position: int, data: bytes) -> None:
        with self._lock:
            # What is sent again after a break is digested already.
            fresh = data[max(0, self._digested - position) :]
            self._digest.update(fresh)
            self._digested += len(fresh)

    def _unreadable(self, error: OSError) -> InvalidArgument:
        message = f"cannot read {self._path}: {error.strerror or error}"
        return InvalidArgument(message, reason="BAD_FILE")


def _changed() -> InvalidArgument:
    return InvalidArgument("the file has changed meanwhile", reason="FILE_CHANGED")
