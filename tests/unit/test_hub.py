"""Who listens to an object is told that something happened to it, and nobody else is."""

from windlass_server.hub import EventHub


def test_who_listens_is_told_of_its_objects_alone():
    hub = EventHub()
    with hub.listening(["job-a", "run-a"]) as both, hub.listening(["job-b"]) as other:
        hub.tell(["run-a", "node-a"])
        assert (both.is_set(), other.is_set()) == (True, False)
        both.clear()
        hub.tell(["job-b", "job-a"])
        assert (both.is_set(), other.is_set()) == (True, True)


def test_who_has_left_is_not_told_and_not_remembered():
    hub = EventHub()
    with hub.listening(["job-a"]) as stays:
        with hub.listening(["job-a"]) as leaves:
            pass
        hub.tell(["job-a"])
        assert (stays.is_set(), leaves.is_set()) == (True, False)
    assert hub._listeners == {}
