"""From a card's marketing name to the short type that jobs ask for."""

import re

# Words that tell the maker, the form factor, the memory or the packaging, not which chip it is.
_NOISE = re.compile(
    r"(?:NVIDIA|GeForce|Tesla|Quadro|Graphics|Generation|Blackwell|Server|Workstation|Edition"
    r"|Laptop|GPU|PCIe|NVL\d*|HBM\d\w*|SXM\d?|OAM|\d+GB)",
    re.IGNORECASE,
)
# `RTX A6000` is asked for as `A6000`: the letter already says that it is the workstation line.
_RTX_A = re.compile(r"^RTX(?=A\d{4})", re.IGNORECASE)
_NOT_IN_A_TYPE = re.compile(r"[^A-Za-z0-9._]")


def gpu_type_of(model: str) -> str:
    """The short type of a card, such as `H100` for `NVIDIA H100 80GB HBM3`.

    A card that this does not know keeps its distinguishing words, joined: `RTX4090`, `TITANRTX`.
    Never empty, and always what a job may write as `gpu_type`.
    """
    words = re.split(r"[\s/-]+", model)
    short = "".join(word for word in words if not _NOISE.fullmatch(word))
    short = _NOT_IN_A_TYPE.sub("", _RTX_A.sub("", short)).lstrip("._")
    return short[:63] or "GPU"


def instance_type(gpu_type: str, profile: str) -> str:
    """The type of an instance of a divided card, such as `H100-1g.10gb`."""
    return f"{gpu_type}-{_NOT_IN_A_TYPE.sub('', profile)}"[:63]
