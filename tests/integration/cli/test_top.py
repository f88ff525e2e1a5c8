"""`windlass top` keeps its table up to date by the values that nodes stream."""

from tests.support.fake_api import Failure, a_node
from windlass.resources.v1 import node_metrics_pb2 as pb
from windlass_client.cli import top
from windlass_client.cli.top import take_values


def news(**values: float) -> pb.NodeValues:
    made = pb.NodeValues(node_id="node-gpu-1")
    made.subjects.add(subject="GPU-1", run_id="run-2", job_id="job-2", values=values)
    return made


def a_message(*nodes: pb.NodeValues, more: bool = False) -> pb.TelemetryMessage:
    return pb.TelemetryMessage(values=pb.LiveValues(nodes=nodes, more=more))


def test_values_take_the_place_of_those_before():
    node = a_node()
    take_values(node, news(gpu_power_watts=321.5, gpu_memory_used_bytes=2.0**30))
    first, second = node.gpus
    assert (first.power_watts, first.run_id) == (640, "run-1")
    assert (second.power_watts, second.memory_used_bytes) == (321.5, 2**30)
    assert second.run_id == "run-2"
    assert {run.run_id: run.job_id for run in node.runs} == {"run-1": "job-1", "run-2": "job-2"}


def test_of_a_gpu_that_is_shared_each_is_shown_with_its_share():
    node = a_node()
    for number in range(6):
        node.gpus[0].shares.add(run_id=f"run-{number}", gpu_millis=100)
    node.gpus[0].shares[1].run_id, node.gpus[0].shares[1].allocation_id = "", "alloc-9"
    shown = cells(top.gpu_table([node]))
    assert "0.1 run-0, 0.1 alloc-9, 0.1 run-2, 0.1 run-3 and 2 more" in shown


class Api:
    """Nodes of a client, of which a test says what they stream."""

    def __init__(self, messages, failure=None):
        self.messages, self.failure = messages, failure
        self.asked = []

    def list(self, **query):
        self.asked.append(query)
        return [a_node()]

    def watch(self, **query):
        self.asked.append(query)
        yield from self.messages
        if self.failure is not None:
            raise self.failure


class TopSession:
    def __init__(self, nodes):
        self.client = self
        self.nodes = nodes


def cells(table) -> str:
    return " ".join(str(one) for column in table.columns for one in column.cells)


def test_an_instance_of_a_divided_card_shows_no_utilisation_and_no_power():
    node = a_node()
    whole = cells(top.gpu_table([node]))
    node.gpus[0].mig_instance.profile = "1g.10gb"
    divided = cells(top.gpu_table([node]))
    assert "93%" in whole
    assert "640/700W" in whole
    assert "93%" not in divided
    assert "640/700W" not in divided


def test_a_table_is_shown_at_first_and_for_each_moment(windlass):
    messages = [
        a_message(news(gpu_power_watts=111.0), more=True),
        a_message(news(gpu_power_watts=222.0)),
        pb.TelemetryMessage(heartbeat=pb.TelemetryHeartbeat()),
    ]
    api = Api(messages)
    views = list(top._Look(TopSession(api), 2.0, "H100").views())
    assert len(views) == 3
    assert "222/" in cells(views[-1])
    assert api.asked == [{"gpu_type": "H100", "page_size": 1000}, {"min_interval": 2.0}]


def test_nodes_are_listed_anew_after_a_while(monkeypatch):
    monkeypatch.setattr(top, "_LIST_SECONDS", 0.0)
    views = list(top._Look(TopSession(Api([a_message(news())] * 5)), 1.0, "").views())
    assert len(views) == 2


def test_top_once_asks_for_no_stream(windlass, plane):
    plane.state.nodes = [a_node()]
    assert windlass("top", "--once").exit_code == 0
    assert "StreamTelemetry" not in plane.state.requests


def test_a_server_that_is_away_is_waited_for(client, plane, monkeypatch):
    import grpc

    plane.state.nodes = [a_node()]
    plane.state.live = [a_message(news(gpu_power_watts=5.0))]
    assert [m.values.nodes[0].node_id for m in client.nodes.watch()] == ["node-gpu-1"]
    plane.state.failures["StreamTelemetry"] = [Failure(grpc.StatusCode.UNAVAILABLE)]
    monkeypatch.setattr(top.time, "sleep", lambda _seconds: None)
    *_, last = top._Look(TopSession(client.nodes), 1.0, "").views()
    assert "trying again" in str(last)


async def test_the_async_client_watches_too(plane):
    from tests.support.fake_api import TOKEN
    from windlass_client import AsyncClient

    plane.state.live = [a_message(news(gpu_power_watts=5.0))]
    async with AsyncClient(plane.address, TOKEN) as client:
        seen = [
            m
            async for m in client.nodes.watch(["node-gpu-1"], fields=["load_1m"], min_interval="5s")
        ]
    assert len(seen) == 1
    (request,) = plane.state.requests["StreamTelemetry"]
    assert (list(request.node_id), list(request.field)) == (["node-gpu-1"], ["load_1m"])
    assert request.min_interval.seconds == 5
