"""What tells how well a card is: read seldom, beside the samples of how hard it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EccErrors:
    """Errors of the memory: volatile counts begin anew with the driver, aggregate ones never."""

    corrected_volatile: int = 0
    corrected_aggregate: int = 0
    uncorrected_volatile: int = 0
    uncorrected_aggregate: int = 0


@dataclass(frozen=True, slots=True)
class RemappedRows:
    """Rows of the memory that spare ones have taken the place of."""

    correctable: int = 0
    uncorrectable: int = 0
    # A row waits for a reset; a row could not be replaced.
    pending: bool = False
    failure: bool = False


@dataclass(frozen=True, slots=True)
class PcieLink:
    """The link to the machine: as it runs, as it could, and packets that were sent again."""

    generation: int
    width: int
    max_generation: int
    max_width: int
    replays: int = 0


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """The state of one card; None stands for what it does not tell."""

    uuid: str
    lost: bool = False
    reset_required: bool = False
    # Hardware slows it down because of heat.
    too_hot: bool = False
    ecc: EccErrors | None = None
    rows: RemappedRows | None = None
    pcie: PcieLink | None = None


@dataclass(frozen=True, slots=True)
class GpuXid:
    """An error that the driver reported of a card; the codes are NVIDIA's."""

    uuid: str
    time_nanos: int
    code: int


class GpuResetError(Exception):
    """A card could not be reset; the text is one line for people."""
