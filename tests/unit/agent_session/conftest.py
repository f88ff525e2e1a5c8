"""What the tests of the agent share: real cards as a scripted library shows them, and quiet logs."""

from collections.abc import Callable, Iterator

import pytest
import structlog

from tests.support.fake_nvml import FakeNvml
from windlass_agent.gpu import nvml as nvml_module
from windlass_agent.gpu.device import GpuProvider

OpenNvml = Callable[[FakeNvml], GpuProvider]


@pytest.fixture
def open_nvml() -> Iterator[OpenNvml]:
    """Opens the cards of a library; lets them go at the end."""
    opened: list[GpuProvider] = []

    def open_them(library: FakeNvml) -> GpuProvider:
        opened.append(nvml_module.open_nvml(lambda: 1_800_000_000, library))
        return opened[-1]

    yield open_them
    for gpus in opened:
        gpus.close()


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The agent's program sets up logging for its process, which here is that of other tests, too."""
    yield
    structlog.reset_defaults()
