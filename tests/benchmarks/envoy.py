"""REST: get of windlass's own gateway beside Envoy before the gRPC port of the same server.

Each side has one core for all that answers a request, and wrk has the other: for the gateway that is the
server, for Envoy the server and Envoy. Beside it stands what Envoy does on wrk's core: then it has nearly
two, and no more is aimed at than not to be behind.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.processes import answers, cpu_seconds, free_port, running
from tests.benchmarks.rest import Call, calls, filled, wrk
from tests.benchmarks.results import Comparison, Load
from tests.benchmarks.rounds import Measure, compare
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_server
from tests.benchmarks.tools import MissingTool, tool
from windlass_server.gateway.envoy.bootstrap import Front, bootstrap
from windlass_server.gateway.serving import Address
from windlass_server.wiring.calls import PUBLIC_SERVICES
from windlass_server.wiring.front_ends import descriptor_set

SERVERS_CORE, LOADS_CORE = 0, 1
Config = dict[str, Any]


def whole(front: Front) -> Config:
    """What `windlass envoy-config` prints."""
    return bootstrap(descriptor_set(), PUBLIC_SERVICES, front)


def bare(front: Front) -> Config:
    """Envoy's transcoder and router alone: no guards, no other filter."""
    config = whole(front)
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager.pop("local_reply_config")
    transcoder, router = (
        {key: value for key, value in each.items() if key != "disabled"}
        for each in manager["http_filters"]
        if "transcoder.array" in each["name"] or each["name"].endswith("router")
    )
    manager["http_filters"] = [transcoder, router]
    host = manager["route_config"]["virtual_hosts"][0]
    host["routes"] = [route for route in host["routes"] if route["name"].startswith("gRPC ")]
    host["routes"].append({"match": {"prefix": "/"}, "direct_response": {"status": 404}})
    return config


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within stays on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def envoy(
    server: Target, directory: Path, name: str, make: Callable[[Front], Config]
) -> Iterator[Target]:
    """Envoy with one worker before the server's gRPC port."""
    host, _, port = server.grpc.rpartition(":")
    front = Front(listen=Address("127.0.0.1", free_port()), server=Address(host, int(port)))
    file = directory / f"{name}.json"
    file.write_text(json.dumps(make(front)), encoding="utf-8")
    argv = [
        *("envoy._main", "--config-path", str(file), "--concurrency", "1"),
        *("--disable-hot-restart", "--log-level", "error"),
    ]
    url = f"http://127.0.0.1:{front.listen.port}"
    log = directory / f"{name}.log"
    with running(argv, log=log, ready=lambda: answers(f"{url}/healthz")) as process:
        yield Target(name, process.pid, url, token=server.token)


def measure_of(
    target: Target,
    pids: tuple[int, ...],
    call: Call,
    settings: Settings,
    connections: int,
    file: Path,
) -> Measure:
    """How to measure a call on a target, with its warm-up; `pids` are what works for it."""

    def measure() -> Load:
        with on_core(LOADS_CORE):
            wrk(target, call, file, connections, settings.warm_up_seconds)
            before = sum(map(cpu_seconds, pids))
            load = wrk(target, call, file, connections, settings.seconds)
        used = sum(map(cpu_seconds, pids)) - before
        return replace(load, cpu_us=used * 1e6 / max(1, load.answers))

    return measure


def run(console: Console, settings: Settings) -> Iterator[Comparison]:
    """Yield a comparison for each arrangement and number of connections."""
    tool("wrk", "wrk")
    if len(os.sched_getaffinity(0)) < 2:
        raise MissingTool("two cores are needed: one for what answers, one for the load")
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        directory = Path(name)
        with on_core(SERVERS_CORE), windlass_server(directory / "windlass") as ours:
            call = calls(ours, filled(console, ours, settings))[0]
            file = directory / "get.txt"
            file.write_text(call.content, encoding="ascii")
            for title, core, make, aim in (
                ("Envoy's transcoder alone", SERVERS_CORE, bare, aims.ENVOY_GET),
                ("Envoy as configured", SERVERS_CORE, whole, aims.ENVOY_GET),
                ("Envoy with a core more", LOADS_CORE, whole, 1.0),
            ):
                with on_core(core), envoy(ours, directory, "peer", make) as peer:
                    for connections in settings.connections:
                        measure = partial(
                            measure_of,
                            call=call,
                            settings=settings,
                            connections=connections,
                            file=file,
                        )
                        sides = (
                            measure(ours, (ours.pid,)),
                            measure(peer, (peer.pid, ours.pid)),
                        )
                        named = f"REST get, {title}"
                        yield compare(console, settings, named, connections, sides, aim)
