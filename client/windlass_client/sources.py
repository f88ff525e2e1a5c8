"""Folders that jobs bring along: packed into archives, and uploaded once by content."""

import asyncio
import gzip
import hashlib
import os
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias, cast

import grpc
from google.api import httpbody_pb2

from windlass.jobs.v1 import job_content_pb2, jobs_service_pb2_grpc
from windlass.jobs.v1 import source_pb2 as pb
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    listing,
    operation,
    unary,
)
from windlass_client.connect import AioTransport, BlockingTransport
from windlass_client.errors import InvalidArgument

SourceArchive = pb.SourceArchive

OnProgress = Callable[[int], None]
"""Called with how many bytes have been sent."""

_Stub = jobs_service_pb2_grpc.JobsServiceStub
LIST = unary(_Stub, lambda stub: stub.ListSources, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetSource, idempotent=True)
# Sent once: a repeat would be told that it is gone.
DELETE = unary(_Stub, lambda stub: stub.DeleteSource, idempotent=False)
_Upload: TypeAlias = "grpc.StreamUnaryMultiCallable[pb.UploadSourceRequest, pb.SourceArchive]"

_CHUNK_BYTES = 1 << 20
_IGNORES = (".windlassignore", ".gitignore")
# Never of use on a node, and often larger than all the rest.
_ALWAYS_IGNORED = (".git/", "__pycache__/", ".venv/")


class SourceCalls(Group):
    """Requests about archives."""

    @listing
    def list(
        self, *, project: str | None = None, sha256: str = "", page_size: int = 0
    ) -> Pages[pb.ListSourcesRequest, pb.ListSourcesResponse, SourceArchive]:
        """Iterate over the archives of a project, newest first.

        Args:
            project: the project; the client's by default.
            sha256: only the one of this digest, in hexadecimal.
            page_size: how many are fetched at once.
        """
        request = pb.ListSourcesRequest(
            project=self.project if project is None else project,
            sha256=sha256,
            page_size=page_size,
        )
        return Pages(LIST, request, lambda page: page.sources)

    @operation
    def get(self, source_id: str) -> Call[pb.GetSourceRequest, SourceArchive]:
        """Read what there is to know of an archive. Raises NotFound."""
        return Call(GET, pb.GetSourceRequest(source_id=source_id))

    @operation
    def delete(self, source_id: str) -> Call[pb.DeleteSourceRequest, SourceArchive]:
        """Remove an archive that no job needs; answers it as it was. Raises NotFound, FailedPrecondition."""
        return Call(DELETE, pb.DeleteSourceRequest(source_id=source_id))


class Sources(SourceCalls, SyncGroup):
    """Archives, blocking."""

    def __init__(self, transport: BlockingTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def upload(
        self,
        path: "str | os.PathLike[str]",
        *,
        project: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> SourceArchive:
        """Bring an archive, or a folder that is packed first, to the server, unless it has that content.

        Args:
            path: the archive, or the folder; see `packed` for what of it is packed.
            project: the project; the client's by default.
            on_progress: told how many bytes the server has been sent.

        Raises:
            InvalidArgument: it cannot be read, or is no archive.
        """
        whose = self.project if project is None else project
        with packed(path) as archive:
            for one in self.list(project=whose, sha256=archive.sha256, page_size=1):
                return one
            return self.send(archive, project=whose, on_progress=on_progress)

    def send(
        self,
        archive: "Packed",
        *,
        project: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> SourceArchive:
        """Bring an archive that was packed to the server, whatever it has; the rest as `upload`."""
        whose = self.project if project is None else project
        return self._wire.push(_upload, archive.messages(whose, on_progress))


class AsyncSources(SourceCalls, AsyncGroup):
    """Archives for asyncio."""

    def __init__(self, transport: AioTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    async def upload(
        self,
        path: "str | os.PathLike[str]",
        *,
        project: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> SourceArchive:
        """Bring an archive, or a folder, to the server; see `Sources.upload`."""
        whose = self.project if project is None else project
        archive = await asyncio.to_thread(packed, path)
        with archive:
            async for one in self.list(project=whose, sha256=archive.sha256, page_size=1):
                return one
            messages = archive.messages(whose, on_progress)

            async def in_turns() -> AsyncIterator[pb.UploadSourceRequest]:
                while (message := await asyncio.to_thread(next, messages, None)) is not None:
                    yield message

            return cast("SourceArchive", await self._wire.push(_upload, in_turns()))


@dataclass(frozen=True, slots=True)
class Packed:
    """An archive that can be sent.

    Attributes:
        file: its content; closed at the end.
        size: bytes of that.
        sha256: digest of it, in hexadecimal.
    """

    file: IO[bytes]
    size: int
    sha256: str

    def __enter__(self) -> "Packed":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def messages(
        self, project: str, on_progress: OnProgress | None
    ) -> Iterator[pb.UploadSourceRequest]:
        """What to send of it."""
        self.file.seek(0)
        sent = 0
        while piece := self.file.read(_CHUNK_BYTES):
            request = pb.UploadSourceRequest(content=httpbody_pb2.HttpBody(data=piece))
            if not sent:
                request.project, request.sha256 = project, self.sha256
            sent += len(piece)
            yield request
            if on_progress:
                on_progress(sent)


def packed(path: "str | os.PathLike[str]") -> Packed:
    """An archive as it is, or a folder packed into one.

    Of a folder everything is packed but `.git`, `__pycache__`, `.venv` and what a `.windlassignore` in it says, or
    where there is none its `.gitignore` files, as git reads them. Links are packed as what they lead to, and those
    that lead out of the folder are left out. The same content makes the same archive.

    Raises:
        InvalidArgument: it cannot be read.
    """
    given = Path(path)
    try:
        if given.is_dir():
            return _digested(_tar(given))
        return _digested(given.open("rb"))
    except OSError as error:
        why = error.strerror or error
        raise InvalidArgument(f"cannot read {given}: {why}", reason="BAD_FILE") from None


def parse_git(text: str) -> job_content_pb2.JobSource:
    """A commit from `URL@COMMIT`. Raises InvalidArgument."""
    repository, at, commit = text.rpartition("@")
    if not at or not repository or not commit:
        message = (
            f"{text!r} is not URL@COMMIT, such as https://git.example/team/train.git@d670460b…"
        )
        raise InvalidArgument(message, reason="BAD_GIT_SOURCE")
    git = job_content_pb2.GitSource(repository=repository, commit=commit)
    return job_content_pb2.JobSource(git=git)


def _digested(file: IO[bytes]) -> Packed:
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
    return Packed(file, file.seek(0, os.SEEK_END), digest.hexdigest())


def _tar(folder: Path) -> IO[bytes]:
    out = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    # No time of day: the same content has the same digest.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as pressed,
        tarfile.open(fileobj=pressed, mode="w", dereference=True) as tar,
    ):
        for name in _names(folder):
            # A further name of a file that is there already is packed as a file of its own: nodes take no links.
            tar.inodes = {}  # type: ignore[attr-defined]
            tar.add(folder / name, arcname=name, recursive=False, filter=_plain)
    return out


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs between machines and days."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _names(folder: Path) -> list[str]:
    """The paths of what is packed, below the folder, in their order."""
    root = folder.resolve()
    own = folder / _IGNORES[0]
    rules = _Rules(own.read_text().splitlines() if own.is_file() else None)
    found: list[str] = []
    for above, folders, files in os.walk(folder):
        base = Path(above).relative_to(folder)
        rules.enter(folder, base)
        folders[:] = sorted(
            one
            for one in folders
            if rules.takes(base / one, folder=True) and not _is_link(above, one)
        )
        found += [(base / one).as_posix() for one in folders]
        for one in files:
            real = (Path(above) / one).resolve()
            if rules.takes(base / one) and real.is_relative_to(root) and real.is_file():
                found.append((base / one).as_posix())
    return sorted(found)


def _is_link(above: str, name: str) -> bool:
    return os.path.islink(os.path.join(above, name))  # noqa: PTH114, PTH118


class _Rules:
    """What is left out: by one file for all, or by a `.gitignore` in each folder."""

    def __init__(self, own: "list[str] | None") -> None:
        # It takes a while, and is of use to few.
        import pathspec

        self._rules = pathspec.GitIgnoreSpec.from_lines
        self._own = own is not None
        lines = [*_ALWAYS_IGNORED, *(own or [])]
        self._specs = [(Path(), self._rules(lines))]

    def enter(self, folder: Path, base: Path) -> None:
        """Read what a folder says of what is below it."""
        ignore = folder / base / _IGNORES[1]
        if not self._own and ignore.is_file():
            text = ignore.read_text(encoding="utf-8", errors="replace")
            self._specs.append((base, self._rules(text.splitlines())))

    def takes(self, path: Path, *, folder: bool = False) -> bool:
        """Whether something is packed; the innermost that says anything of it decides."""
        for base, spec in reversed(self._specs):
            if not path.is_relative_to(base):
                continue
            name = path.relative_to(base).as_posix() + ("/" if folder else "")
            decision = spec.check_file(name).include
            if decision is not None:
                return not decision
        return True


def _upload(channel: grpc.Channel) -> "_Upload":
    return _Stub(channel).UploadSource
