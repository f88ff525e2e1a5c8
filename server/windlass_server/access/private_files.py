"""Files that only their owner may read, never seen half written, not even after a power cut."""

import os
import tempfile
from pathlib import Path


def stage(path: Path, text: str) -> Path:
    """Write `text` beside `path`, on disk and mode 0600; the caller moves it into place.

    Raises:
        OSError: the folder cannot be written to.
    """
    # mkstemp makes the file 0600 before there is anything in it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    staged = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        staged.unlink()
        raise
    return staged


def publish(staged: Path, path: Path) -> None:
    """Move a staged file into place, over one that is there."""
    staged.replace(path)
    _sync_folder(path.parent)


def create(path: Path, text: str) -> bool:
    """Make the file unless it is there; whoever of several processes comes first, wins.

    Returns:
        Whether it was made by this call.
    """
    staged = stage(path, text)
    try:
        # Unlike a rename, a link does not replace what another process has just made.
        path.hardlink_to(staged)
    except FileExistsError:
        return False
    finally:
        staged.unlink()
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
