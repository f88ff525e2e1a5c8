"""What the rules of the contract let a node say, and how the agent keeps to it.

The server ends a stream whose message breaks a rule. What comes from outside of the agent, such as the
name of a process, the words of a sandbox or the numbers of a driver, is cut to the rules before it is sent.
"""

import math

MAX_TEXT = 255
MAX_DETAIL = 1024
MAX_PROCESS_NAME = 128
MAX_VERSION = 32
MAX_CPU_MILLIS = 1_000_000_000
MAX_BYTES = 1 << 60
MAX_WATTS = 1e6
MAX_CELSIUS = 1000
MAX_SERIES = 4096
MAX_GPU_PROCESSES = 4096
MAX_RUN_STAMPS = 8192
MAX_HELLO_RUNS = 8192
# A request may have 4 MiB; this leaves room for the inventory.
MAX_HELLO_RUN_BYTES = 3 << 20


def text(given: str, most: int = MAX_TEXT) -> str:
    """One line of at most so many characters, with a question mark for each that cannot be shown."""
    # Cut first: what follows takes time for every character.
    line = " ".join(given[: 4 * most].split())[:most]
    return "".join(char if char.isprintable() else "?" for char in line)


def number(given: float, most: float) -> float:
    """A number from 0 to `most`; 0 for what is not a number."""
    return 0.0 if math.isnan(given) else min(max(given, 0.0), most)


def amount(given: float, most: int = MAX_BYTES) -> int:
    """A whole number from 0 to `most`; 0 for what is not a number."""
    return int(number(given, most))
