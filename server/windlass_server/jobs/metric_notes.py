"""What an answer about a job's metrics does not show, in sentences."""

from collections.abc import Iterable, Iterator, Sequence

from windlass_server.storage.tables import MetricTallyRow
from windlass_server.telemetry.custom import MAX_NAMES

_NETWORK = ("network_receive_bytes_per_second", "network_send_bytes_per_second")


def notes_of(tallies: Sequence[MetricTallyRow]) -> Iterator[str]:
    """What became of values that the job has sent and that are not there."""
    malformed = sum(one.malformed_lines for one in tallies)
    if malformed:
        last = [one.last_malformed for one in tallies if one.malformed_lines][-1]
        yield f"{malformed} lines of custom metrics made no sense; the last was {last}"
    dropped = sum(one.dropped_values for one in tallies)
    if dropped:
        yield f"{dropped} values of custom metrics came too fast and are dropped"
    refused = sum(one.refused_values + one.refused_by_job for one in tallies)
    if refused:
        yield (
            f"{refused} values of custom metrics are dropped: the job has used its {MAX_NAMES} names"
        )


def note_of_network(asked: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    """Why a job has no network of its own to be measured."""
    if set(asked) & set(_NETWORK) - set(found):
        yield (
            "the network is not measured of each job: the tasks of a node share its network; "
            "GET /v1/resources/nodes/{node_id}/metrics has the node's"
        )
