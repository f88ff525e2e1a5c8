import io

from rich.console import Console

from windlass_agent.fleet.board import board
from windlass_agent.fleet.config import load_config
from windlass_agent.fleet.counts import Counts

CONFIG = load_config(["--nodes", "1000", "--gpus", "8xH100", "--server", "10.0.0.5:50051"], {})
BEFORE = Counts(batches_sent=11_000, values_sent=1_100_000)
NOW = Counts(
    nodes=1000,
    joined=1000,
    connected=998,
    connections=1004,
    faults=3,
    batches_sent=12_000,
    batches_acknowledged=9_500,
    batches_lost=2,
    batches_unanswered=40,
    batches_on_their_way=2_458,
    values_sent=1_200_000,
    tasks_started=30,
    tasks_ended=20,
    tasks_acknowledged=19,
)


def printed(counts, **options):
    console = Console(width=120, file=io.StringIO(), **options)
    console.print(board(CONFIG, counts, BEFORE, 3723.0))
    return console.file.getvalue()


def test_the_board_shows_what_became_of_everything_and_what_a_second_brought():
    text = printed(NOW)
    assert "1000 simulated nodes of 8 GPUs at 10.0.0.5:50051  1:02:03" in text
    assert "nodes 1,000 joined 998 connected 1,004 connections 3 faults" in " ".join(text.split())
    (batches,) = [line for line in text.splitlines() if line.startswith("batches of samples")]
    assert batches.split()[3:] == ["12,000", "9,500", "2", "40", "2,458", "1,000"]
    (values,) = [line for line in text.splitlines() if line.startswith("values")]
    assert values.split()[1:] == ["1,200,000", "100,000"]
    assert "30 started  20 ended  19 acknowledged" in text


def test_samples_that_were_lost_stand_out():
    colours = {"force_terminal": True, "color_system": "standard"}
    lost, none = printed(NOW, **colours), printed(Counts(nodes=1), **colours)
    assert "\x1b[1;31m" in lost
    assert "\x1b[1;31m" not in none
