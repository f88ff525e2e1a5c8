"""Logs of runs as files: one for each run. Blocking; `objects/logs.py` calls it in threads."""

import os
import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from windlass_server.errors import Conflict, InvalidInput
from windlass_server.objects.frames import (
    MAX_BATCH_BYTES,
    BadFrames,
    Frame,
    boundaries,
    frame_end,
    times_of,
)
from windlass_server.objects.log_view import LogView

_RUN_ID = re.compile(r"run-[0-9a-z]{26}")
_MARK_BYTES = 1 << 20
_MAX_OPEN_FILES = 256
_MAX_KNOWN_LOGS = 16_384


class LogRefused(Conflict):
    """A batch was not taken; `end` is what the log holds, where the node goes on.

    Reasons: `LOG_GAP` (it begins behind the end), `LOG_BAD_FRAMES` (it is not whole frames, or its
    frames do not meet the end), `LOG_CLOSED` (the log is archived).
    """

    def __init__(self, message: str, *, reason: str, end: int) -> None:
        super().__init__(message, reason=reason, end=str(end))
        self.end = end


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole frames of a run's log, from `position` on."""

    run_id: str
    position: int
    frames: bytes


@dataclass(slots=True)
class _Log:
    """What is known of a log without reading it.

    Attributes:
        end: bytes that are on disk.
        marks: boundaries between frames about `_MARK_BYTES` apart, to begin reading at.
        newest: for each mark the latest time (ns since 1970) of what lies before the next one.
        archived: reads it where it is now; None while it is a file here.
    """

    end: int = 0
    marks: "array[int]" = field(default_factory=lambda: array("q", [0]))
    newest: "array[int]" = field(default_factory=lambda: array("Q", [0]))
    archived: LogView | None = None

    def grow(self, ends: Sequence[int], times: Sequence[int]) -> None:
        """Take in further frames: where they end, and their times."""
        for end, time in zip(ends, times, strict=True):
            if self.end - self.marks[-1] >= _MARK_BYTES:
                self.marks.append(self.end)
                self.newest.append(self.newest[-1])
            self.newest[-1] = max(self.newest[-1], time)
            self.end = end


class LogFiles:
    """The files. Appends come from one thread at a time, reads from any.

    After a crash a file may be longer than what was synced: it is read through when it is first
    used, and what follows its last whole frame is cut off before it grows. (A file system that
    orders data before size, as ext4, xfs, btrfs and zfs do, leaves no hole in a whole frame.)

    Args:
        directory: where the logs lie, as `<shard>/<run_id>.log`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def path(self, run_id: str) -> Path:
        """The file of a run's log; InvalidInput when that is no run's id."""
        if _RUN_ID.fullmatch(run_id) is None:
            message = "a run id is `run-` and 26 lower-case letters and digits"
            raise InvalidInput(message, reason="RUN_ID_INVALID")
        return self._directory / run_id[-2:] / f"{run_id}.log"

    def known_end(self, run_id: str) -> int | None:
        """As `end`, without touching the disk; None when that would be needed."""
        log = self._logs.get(run_id)
        return None if log is None else log.end

    def end(self, run_id: str) -> int:
        """How many bytes of the log are on disk; 0 when there is none."""
        return self._log(run_id).end

    def append(self, group: Sequence[Batch]) -> list[int | Exception]:
        """Write batches; for each what its log then holds on disk, or why it was refused.

        The batches of one log are written and synced together.
        """
        by_run: dict[str, list[int]] = {}
        for number, batch in enumerate(group):
            by_run.setdefault(batch.run_id, []).append(number)
        outcomes: dict[int, int | Exception] = {}
        for run_id, numbers in by_run.items():
            try:
                results = self._append_run(run_id, [group[number] for number in numbers])
            except (InvalidInput, OSError) as error:
                results = [error] * len(numbers)
            outcomes.update(zip(numbers, results, strict=True))
        return [outcomes[number] for number in range(len(group))]

    def read(self, run_id: str, position: int, max_bytes: int) -> list[Frame]:
        """As `LogView.read`."""
        with self.view(run_id) as view:
            return view.read(position, max_bytes)

    @contextmanager
    def view(self, run_id: str) -> Iterator[LogView]:
        """A context in which a log can be read as it is now."""
        log = self._log(run_id)
        if log.archived is not None:
            yield log.archived
            return
        with ExitStack() as stack:
            try:
                file = (
                    stack.enter_context(self.path(run_id).open("rb", buffering=0))
                    if log.end
                    else None
                )
            except FileNotFoundError:
                # It was archived just now.
                log = self._log(run_id)
                if log.archived is None:
                    raise
                yield log.archived
                return
            pread = _no_bytes if file is None else partial(os.pread, file.fileno())
            yield LogView(run_id, log.end, log.marks[:], log.newest[:], pread)

    def has_file(self, run_id: str) -> bool:
        """Whether a log has a file here; InvalidInput when that is no run's id."""
        return self.path(run_id).exists()

    def is_archived(self, run_id: str) -> bool:
        """Whether a log is known to be read elsewhere."""
        log = self._logs.get(run_id)
        return log is not None and log.archived is not None

    def run_ids(self) -> list[str]:
        """The runs whose logs have files here."""
        return [path.stem for path in self._directory.glob("*/run-*.log")]

    def know_archived(self, view: LogView) -> None:
        """Read a log where it has been archived from now on; it grows no more."""
        self._remember(view.run_id, _Log(end=view.end, archived=view))

    def retire(self, view: LogView) -> None:
        """The same of a log that has a file here, which is removed; from the thread of appends."""
        self.know_archived(view)
        file = self._open.pop(view.run_id, None)
        if file is not None:
            os.close(file)
        self.path(view.run_id).unlink(missing_ok=True)

    def forget(self, run_id: str) -> None:
        """Look at a log anew when it is used next."""
        with self._lock:
            self._logs.pop(run_id, None)

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _append_run(self, run_id: str, batches: Sequence[Batch]) -> list[int | Exception]:
        log = self._log(run_id)
        end = log.end
        fresh: list[bytes] = []
        ends: list[int] = []
        times: list[int] = []
        outcomes: list[int | Exception] = []
        for batch in batches:
            try:
                piece, piece_ends = _fresh_part(batch, end)
                if piece and log.archived is not None:
                    message = "the log is archived and grows no more"
                    raise LogRefused(message, reason="LOG_CLOSED", end=end)
            except LogRefused as refusal:
                outcomes.append(refusal)
                continue
            if piece:
                fresh.append(piece)
                ends += piece_ends
                times += times_of(piece, end, piece_ends)
                end = piece_ends[-1]
            outcomes.append(end)
        if fresh:
            self._write(run_id, b"".join(fresh), log.end)
            log.grow(ends, times)
            # A reader may have looked at the file meanwhile; this is what is on disk.
            self._remember(run_id, log)
        return outcomes

    def _write(self, run_id: str, data: bytes, position: int) -> None:
        file = self._file(run_id, position)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(file, view, position)
                position += written
                view = view[written:]
            os.fdatasync(file)
        except OSError:
            # What of it is on disk is not known. The log has not grown, and is cut off at its end
            # when it is opened again.
            os.close(self._open.pop(run_id))
            raise

    def _file(self, run_id: str, end: int) -> int:
        """The open file of a log that is appended to; made when missing, cut off at its end."""
        file = self._open.get(run_id)
        if file is None:
            path = self.path(run_id)
            file = _create(path)
            self._open[run_id] = file
            os.ftruncate(file, end)
            if len(self._open) > _MAX_OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(run_id)
        return file

    def _log(self, run_id: str) -> _Log:
        with self._lock:
            log = self._logs.get(run_id)
            if log is not None:
                self._logs.move_to_end(run_id)
                return log
        # May take long, and changes nothing: others need not wait.
        found = _examine(self.path(run_id))
        with self._lock:
            log = self._logs.get(run_id)
        if log is None:
            log = found
            self._remember(run_id, log)
        return log

    def _remember(self, run_id: str, log: _Log) -> None:
        with self._lock:
            self._logs[run_id] = log
            self._logs.move_to_end(run_id)
            if len(self._logs) > _MAX_KNOWN_LOGS:
                self._logs.popitem(last=False)


def _fresh_part(batch: Batch, end: int) -> tuple[bytes, list[int]]:
    """What of a batch a log that holds `end` bytes does not have, and the ends of its frames."""
    if not batch.frames:
        return b"", []
    if batch.position > end:
        message = f"the batch begins at {batch.position}, the log ends at {end}"
        raise LogRefused(message, reason="LOG_GAP", end=end)
    offset = end - batch.position
    try:
        ends = boundaries(batch.frames)
    except BadFrames as error:
        raise LogRefused(str(error), reason="LOG_BAD_FRAMES", end=end) from None
    whole = ends[-1] if ends else 0
    if batch.position < 0 or whole != len(batch.frames) or whole > MAX_BATCH_BYTES:
        message = "a batch is whole frames, at most 1 MiB"
        raise LogRefused(message, reason="LOG_BAD_FRAMES", end=end)
    if offset >= whole:
        return b"", []
    if offset and offset not in ends:
        message = f"no frame of the batch begins at {end}, where the log ends"
        raise LogRefused(message, reason="LOG_BAD_FRAMES", end=end)
    return batch.frames[offset:], [batch.position + one for one in ends if one > offset]


def _no_bytes(_size: int, _position: int) -> bytes:
    """Reads a log that has no file."""
    return b""


def _examine(path: Path) -> _Log:
    """Read a log through, up to the end of its last whole frame."""
    log = _Log()
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return log
    try:
        while block := os.pread(file, MAX_BATCH_BYTES, log.end):
            ends = _whole_frames(block)
            if not ends:
                break
            log.grow([log.end + end for end in ends], times_of(block, 0, ends))
    finally:
        os.close(file)
    return log


def _whole_frames(block: bytes) -> list[int]:
    """As `boundaries`, up to the first byte that is no frame's."""
    ends: list[int] = []
    try:
        end = frame_end(block, 0)
        while end is not None:
            ends.append(end)
            end = frame_end(block, end)
    except BadFrames:
        pass
    return ends


def _create(path: Path) -> int:
    """Open a log for writing; its name is on disk before its first byte can be."""
    existed = path.exists()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not existed:
        for directory in (path.parent, path.parent.parent):
            _sync_directory(directory)
    return file


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
