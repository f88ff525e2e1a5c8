"""`windlass events` and the client's stream, which goes on where it broke."""

import json

from windlass.access.v1 import event_pb2 as pb


def told(sequence: int, **values: str) -> pb.EventMessage:
    event = pb.Event(
        sequence=sequence,
        kind="job",
        object_id="job-1",
        actor="ada",
        status="QUEUED",
        reason="SUBMITTED",
        **values,  # type: ignore[arg-type]
    )
    return pb.EventMessage(cursor=str(sequence), event=event)


END = pb.EventMessage(cursor="9", end=pb.EventEnd())


def test_events_are_lines_for_people_and_json_for_programs(plane, windlass):
    plane.state.events_told = [[told(1, message="accepted\x1b[2J"), END], [told(1), END]]
    shown = windlass("events")
    assert shown.exit_code == 0, shown.output
    for word in ("job-1", "QUEUED SUBMITTED", "ada", "accepted\\x1b[2J"):
        assert word in shown.stdout
    (line,) = windlass("events", "-o", "json").stdout.splitlines()
    assert json.loads(line)["reason"] == "SUBMITTED"


def test_what_is_asked_for_is_passed_on(plane, windlass):
    plane.state.events_told = [[END], [END]]
    done = windlass(
        *("events", "--project", "p", "--kind", "job", "--reason", "node_lost", "--actor", "ada"),
        *("--object", "job-1", "--since", "2026-11-01"),
    )
    assert done.exit_code == 0, done.output
    windlass("events", "--tail", "3")
    first, second = plane.state.requests["StreamEvents"]
    assert (first.project, first.object_id, list(first.kind)) == ("p", "job-1", ["job"])
    assert (list(first.reason), first.actor) == (["NODE_LOST"], "ada")
    assert first.since.ToDatetime().day == 1
    assert not first.HasField("tail")
    assert second.tail == 3


def test_a_stream_that_breaks_goes_on_behind_its_last_event(plane, client):
    broken = pb.EventMessage(
        cursor="2", error=pb.EventError(reason="SERVER_STOPPING", message="it stops")
    )
    beat = pb.EventMessage(cursor="4", heartbeat=pb.EventHeartbeat())
    plane.state.events_told = [[told(1), told(2), broken], [told(3), beat], [told(5), END]]
    found = [event.sequence for event in client.events.stream(tail=5)]
    assert found == [1, 2, 3, 5]
    asked = plane.state.requests["StreamEvents"]
    assert [(one.cursor, one.HasField("tail")) for one in asked] == [
        ("", True),
        ("2", False),
        ("4", False),
    ]
