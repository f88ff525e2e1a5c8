"""Compare the contract with the last published one: `python protos/breaking.py`.

The last published contract is `gen/windlass.binpb` of the newest `v*` tag; before the first tag it
is the version committed before the present one. Until 1.0 the contract may break where that makes
it better, if callers are told: a break passes when the Unreleased section of CHANGELOG.md has a line
that begins with `- Breaking (proto):`. Without git history there is nothing to compare with, and the
check says so and passes.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "gen/windlass.binpb"
_UNRELEASED = re.compile(r"^## \[Unreleased\]$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_SAID = re.compile(r"^- Breaking \(proto\):", re.MULTILINE)


def git(*arguments: str) -> bytes | None:
    """What git prints, or None when it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)  # noqa: S603, S607 - the user's own git
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def published() -> str | None:
    """The revision that holds the last published contract, or None when there is none."""
    if tag := git("describe", "--tags", "--abbrev=0", "--match", "v*"):
        return tag.decode().strip()
    commits = (git("log", "--format=%H", "-n", "2", "--", IMAGE) or b"").decode().split()
    if not commits:
        return None
    if git("show", f"HEAD:{IMAGE}") != (ROOT / IMAGE).read_bytes():
        return commits[0]  # the present one is not committed yet
    return commits[1] if len(commits) > 1 else None


def is_said() -> bool:
    """Whether CHANGELOG.md tells callers of a break."""
    unreleased = _UNRELEASED.search((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    return unreleased is not None and _SAID.search(unreleased[1]) is not None


def main() -> int:
    """Compare; 1 when the contract breaks and CHANGELOG.md does not say so."""
    revision = published()
    old = git("show", f"{revision}:{IMAGE}") if revision else None
    if old is None:
        print("no earlier contract in this clone: not compared")
        return 0
    with tempfile.NamedTemporaryFile(suffix=".binpb") as before:
        before.write(old)
        before.flush()
        buf = Path(sys.executable).with_name("buf")
        command = [str(buf), "breaking", IMAGE, "--against", before.name]
        broken = subprocess.run(command, cwd=ROOT, check=False).returncode != 0  # noqa: S603 - our own tool
    if not broken:
        print(f"the contract breaks nothing since {revision}")
        return 0
    if is_said():
        print(f"the contract breaks since {revision}, as CHANGELOG.md says")
        return 0
    print(f"the contract breaks since {revision}: say so in CHANGELOG.md, under [Unreleased]:")
    print("- Breaking (proto): what breaks and what callers do")
    return 1


if __name__ == "__main__":
    sys.exit(main())
