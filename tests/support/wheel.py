"""`python -m tests.support.wheel FOLDER`: whether a wheel that is unpacked there has all that it needs.

The checkout is installed, too, and would stand in for what the wheel lacks; so every package must
come from the folder, and the programs run elsewhere than in the checkout.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("windlass", "windlass_agent", "windlass_client", "windlass_server")
_PLACES = f"""
from importlib.util import find_spec
for name in {PACKAGES}:
    print(*find_spec(name).submodule_search_locations)
"""
# What each needs beside its modules: migrations, and the descriptor set.
PROGRAMS = (
    ("windlass_server", "--check-config", "--data-dir", "data"),
    ("windlass_server.gateway.envoy", "--upstream", "127.0.0.1:1", "--listen", "127.0.0.1:0"),
    ("windlass_agent", "--help"),
    ("windlass_client.cli.main", "--version"),
)


def main() -> None:
    """Fail with what a program said, or with the package that is not there."""
    folder = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="windlass-wheel-") as elsewhere:
        for place in _run(folder, elsewhere, "-c", _PLACES).splitlines():
            if not Path(place).is_relative_to(folder):
                sys.exit(f"{place} stands in for a package that the wheel lacks")
        for program in PROGRAMS:
            _run(folder, elsewhere, "-m", *program)
    sys.stdout.write(f"{len(PACKAGES)} packages and {len(PROGRAMS)} programs of the wheel work\n")


def _run(folder: Path, elsewhere: str, *arguments: str) -> str:
    """What Python prints; an import finds the folder first."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
