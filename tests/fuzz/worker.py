"""One target under libFuzzer: `python -m tests.fuzz.worker TARGET FOLDER [libFuzzer's options]`.

The folder gets the seeds and what grows of them, and the inputs that broke an invariant.
"""

import sys
from importlib import import_module
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["windlass_server.gateway", "python_multipart"]):
    import_module("windlass_server.gateway.app")
    import_module("windlass_server.gateway.cors")

from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough."""
    name, folder, *options = sys.argv[1:]
    target = TARGETS[name]
    corpus = Path(folder) / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{index}").write_bytes(seed)
    words = Path(folder) / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.WORDS), encoding="ascii")
    arguments = [
        sys.argv[0],
        f"-dict={words}",
        f"-artifact_prefix={folder}/",
        *options,
        str(corpus),
    ]
    own = getattr(target, "mutate", None)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed = own(data, Random(seed)) if own else None
        return atheris.Mutate(data, max_size) if changed is None else changed[:max_size]

    atheris.Setup(arguments, target.check, custom_mutator=mutate)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02X}" for byte in word)


if __name__ == "__main__":
    main()
