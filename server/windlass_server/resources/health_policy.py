"""What is done about a fault of a device or a node: a table, and how long things take. Pure.

It is decided by the server, which knows what runs on a device and what else has failed; the nodes
tell what they see. The numbers of XIDs and what NVIDIA advises come from its catalog
(https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, "Immediate Action"). Where that
says RESTART_APP for what only a program can do wrong, such as 13 and 31, nothing is done: the program
ends by itself, and starting it again would hide its mistake.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol


class Action(enum.IntEnum):
    """As `resources.v1.GpuFault.Action`; each does what the ones before it do, and more."""

    IGNORE = 1
    """It is noted, and told to the job whose run held the device."""
    RESTART_TASK = 2
    """The run that held the device is started again elsewhere; the device goes on."""
    SUSPECT = 3
    """Nothing new is placed on the device until it has been quiet for a while; what runs goes on."""
    RESET_GPU = 4
    """The run leaves, the device is reset, and comes back after a clean burn-in."""
    DRAIN = 5
    """The run leaves, and the node takes nothing new: a reset does not help."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about one kind of fault, and what it is in words.

    Attributes:
        resets_idle: beside the action: the device is reset as soon as nothing holds it.
    """

    action: Action
    words: str
    resets_idle: bool = False

    @property
    def stops_task(self) -> bool:
        """Whether the run that holds the device has to leave."""
        return self.action not in (Action.IGNORE, Action.SUSPECT)


def _xids() -> dict[str, Rule]:
    programs = {
        13: "the program did something illegal (graphics engine exception)",
        31: "the program used memory that is not its own (MMU fault)",
        43: "the program's channel was stopped after a fault of its own",
        45: "the program's channel was removed, because of another fault or its end",
        69: "the program did something illegal (class error)",
    }
    noted = {
        37: "firmware was asked for what it does not know",
        38: "the front end's watchdog ran out",
        44: "a fault while contexts were switched",
        63: "a row of the memory was marked to be replaced",
        66: "illegal access to a register",
        67: "illegal access to a register",
        93: "its information memory is worn out",
        106: "a test message",
        107: "a test message",
        108: "a remote NVLink address could not be translated",
        121: "an error on the link to the CPU, corrected",
        137: "NVLink was used without privilege",
        141: "an error of the fast path",
        154: "the driver names what it needs to recover",
    }
    engines = (32, 39, 40, 41, 60, 68, *range(70, 74), 75, 76, 77, 80, *range(82, 87), 88, 89)
    engines = (8, 11, *engines, *range(96, 106), *range(126, 136), 139)
    restarts = dict.fromkeys(engines, "an engine of the card failed and was started again")
    restarts[94] = "the memory lost data of one program (contained ECC error)"
    resets = {
        46: "it stopped answering",
        48: "the memory lost data (double bit ECC error)",
        61: "its power management hit a breakpoint",
        62: "its power management stopped",
        64: "a row of the memory could not be marked to be replaced",
        74: "an NVLink failed",
        95: "the memory lost data, and nobody knows whose (uncontained ECC error)",
        109: "a context could not be switched in time",
        110: "a security fault",
        119: "its system processor does not answer (GSP RPC timeout)",
        120: "its system processor failed (GSP error)",
        136: "an NVLink could not be trained",
        140: "the memory lost data that the hardware could not contain",
        143: "it could not be initialised",
        144: "an NVLink failed (SAW)",
        145: "an NVLink failed (RLW)",
        146: "an NVLink failed (TLW)",
        149: "an NVLink failed (NETIR)",
        150: "an NVLink failed (MSE)",
        155: "an NVLink failed (software defined)",
    }
    suspects = {
        54: "its auxiliary power is not connected",
        92: "many errors of the memory, corrected",
    }
    drains = {79: "it has fallen off the bus", 151: "its keys could not be rotated"}
    by_action = (
        (Action.IGNORE, programs | noted),
        (Action.RESTART_TASK, restarts),
        (Action.SUSPECT, suspects),
        (Action.RESET_GPU, resets),
        (Action.DRAIN, drains),
    )
    return {
        f"XID_{code}": Rule(action, words)
        for action, table in by_action
        for code, words in table.items()
    }


# Faults that are seen in the state of a device, and last.
LOST = "GPU_LOST"
RESET_REQUIRED = "GPU_RESET_REQUIRED"
ROWS_PENDING = "ROW_REMAP_PENDING"
ROWS_FAILED = "ROW_REMAP_FAILED"
TOO_HOT = "GPU_TOO_HOT"
# Faults that happen.
UNCORRECTED = "ECC_UNCORRECTED"

RULES: Mapping[str, Rule] = MappingProxyType(
    _xids()
    | {
        LOST: Rule(Action.DRAIN, "it does not answer: it has fallen off the bus"),
        RESET_REQUIRED: Rule(Action.RESET_GPU, "its driver wants it to be reset"),
        ROWS_PENDING: Rule(
            Action.SUSPECT, "a row of its memory waits for a reset to be replaced", resets_idle=True
        ),
        ROWS_FAILED: Rule(Action.DRAIN, "a row of its memory could not be replaced"),
        TOO_HOT: Rule(Action.SUSPECT, "it is so hot that its hardware slows it down"),
        UNCORRECTED: Rule(Action.RESTART_TASK, "its memory has lost data"),
    }
)

_SECOND = 1_000_000


class Asked(Protocol):
    """What an operator may set, as the configuration has it."""

    @property
    def quiet_seconds(self) -> float: ...
    @property
    def burn_in_seconds(self) -> float: ...
    @property
    def resets(self) -> int: ...
    @property
    def failed_jobs(self) -> int: ...
    @property
    def actions(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """The table with an operator's own rows, and what bounds its actions. Times are microseconds.

    Attributes:
        actions: what is done instead of what the table says, by the kind of fault.
        quiet: how long a suspect device must be without a fault.
        burn_in: how long a device must be without a fault after a reset.
        retry: how long after a failed reset the next one is tried.
        resets: so many resets within `resets_within` are tried; then the node is drained.
        failed_jobs: a node that has failed so many different jobs within `failed_within` takes no more.
        disk_full: the part of the disk, or the bytes, below which a node takes nothing new.
    """

    actions: Mapping[str, Action] = field(default_factory=dict)
    quiet: int = 600 * _SECOND
    burn_in: int = 60 * _SECOND
    retry: int = 60 * _SECOND
    resets: int = 3
    resets_within: int = 24 * 3600 * _SECOND
    failed_jobs: int = 3
    failed_within: int = 3600 * _SECOND
    disk_full: tuple[float, int] = (0.02, 1 << 29)

    @classmethod
    def of(cls, asked: "Asked") -> "Policy":
        """The policy that an operator asked for."""
        return cls(
            actions={kind: Action[action] for kind, action in asked.actions.items()},
            quiet=int(asked.quiet_seconds * _SECOND),
            burn_in=int(asked.burn_in_seconds * _SECOND),
            resets=asked.resets,
            failed_jobs=asked.failed_jobs,
        )

    def rule(self, kind: str) -> Rule:
        """What is done about a kind of fault; an XID that nobody knows makes a device suspect."""
        rule = RULES.get(kind) or Rule(
            Action.SUSPECT, f"{kind.replace('_', ' ')}, which is not known"
        )
        action = self.actions.get(kind)
        return rule if action is None else Rule(action, rule.words, rule.resets_idle)
