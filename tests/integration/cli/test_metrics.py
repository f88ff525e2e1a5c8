"""`windlass nodes metrics`, as people and programs see it."""

import json

import pytest

from tests.support.fake_api import T0, a_node
from windlass.jobs.v1 import job_metrics_pb2
from windlass.resources.v1 import node_metrics_pb2
from windlass.types.v1 import metrics_pb2
from windlass_client.cli.metrics import named
from windlass_client.errors import InvalidArgument


def an_answer(*series: metrics_pb2.MetricSeries) -> node_metrics_pb2.GetNodeMetricsResponse:
    """An hour in minutes."""
    answer = node_metrics_pb2.GetNodeMetricsResponse(series=series)
    answer.start_time.FromDatetime(T0)
    answer.end_time.FromSeconds(answer.start_time.seconds + 3600)
    answer.resolution.FromSeconds(60)
    return answer


def a_series(field: str, subject: str, values: dict[int, float]) -> metrics_pb2.MetricSeries:
    """A value each in the minutes of these numbers."""
    some = list(values.values())
    return metrics_pb2.MetricSeries(
        field=field,
        subject=subject,
        offset_seconds=[60 * minute for minute in values],
        mean=some, min=some, max=some, sum=some, last=some, count=[1] * len(some),
    )  # fmt: skip


def test_a_line_for_each_series_shows_its_course_and_its_numbers(windlass, plane):
    plane.state.nodes = [a_node()]
    plane.state.metrics = an_answer(
        a_series("gpu_power_watts", "GPU-1", {0: 100, 1: 800, 59: 450}),
        a_series("memory_used_bytes", "", {5: 2**30, 6: 3 * 2**30}),
    )
    shown = windlass("nodes", "metrics", "gpu-1", COLUMNS="160").stdout.splitlines()
    power, memory = shown[1:3]
    assert power.split()[:3] == ["gpu_power_watts", "gpu", "1"]
    assert "▁█" + " " * 57 + "▅" in power
    assert power.split()[-4:] == ["100", "450", "800", "450"]
    assert "machine" in memory
    assert memory.split()[-8:] == ["1", "GiB", "2", "GiB", "3", "GiB", "3", "GiB"]


def test_gpus_come_in_their_order_and_the_fields_as_they_were_asked_for(windlass, plane):
    plane.state.nodes = [a_node()]
    plane.state.metrics = an_answer(
        *(a_series("gpu_power_watts", subject, {0: 1}) for subject in ("GPU-9", "GPU-1", "GPU-0")),
        *(a_series("gpu_healthy", subject, {0: 1}) for subject in ("GPU-1", "GPU-0")),
    )
    shown = windlass("nodes", "metrics", "gpu-1", COLUMNS="160").stdout.splitlines()[1:]
    assert [line[:30].replace("gpu_power_watts", "power").split()[:3] for line in shown] == [
        ["power", "gpu", "0"],
        ["power", "gpu", "1"],
        ["power", "GPU-9", "▅"],
        ["gpu_healthy", "gpu", "0"],
        ["gpu_healthy", "gpu", "1"],
    ]


def test_what_is_asked_for_is_sent(windlass, plane):
    plane.state.nodes = [a_node()]
    windlass("nodes", "metrics", "gpu-1", "--field", "power", "--field", "load_1m", "--gpu", "1",
             "--since", "1d", "--resolution", "10m")  # fmt: skip
    (request,) = plane.state.requests["GetNodeMetrics"]
    assert (request.node_id, list(request.subject)) == ("node-gpu-1", ["GPU-1"])
    assert list(request.field) == ["gpu_power_watts", "load_1m"]
    assert request.end_time.seconds - request.start_time.seconds == 86_400
    assert request.resolution.seconds == 600


def test_without_words_the_usual_is_asked_for_as_finely_as_a_line_shows(windlass, plane):
    plane.state.nodes = [a_node()]
    done = windlass("nodes", "metrics", "gpu-1")
    (request,) = plane.state.requests["GetNodeMetrics"]
    assert "gpu_utilization_percent" in request.field
    assert request.resolution.seconds == 60
    assert "nothing of that was measured" in done.stderr


def test_programs_get_the_answer_as_json(windlass, plane):
    plane.state.nodes = [a_node()]
    plane.state.metrics = an_answer(a_series("gpu_power_watts", "GPU-0", {0: 100}))
    told = json.loads(windlass("nodes", "metrics", "gpu-1", "-o", "json").stdout)
    assert told["series"][0]["mean"] == [100]
    assert told["resolution"] == "60s"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--field", "taste"], "nothing is measured by the name 'taste'"),
        (["--gpu", "7"], "node gpu-1 has no GPU 7"),
        (["--since", "soon"], "is no time"),
        (["--since", "9999999d"], "there was no time yet"),
        (["--resolution", "x"], "is not a duration"),
    ],
)
def test_what_makes_no_sense_is_told(windlass, plane, arguments, words):
    plane.state.nodes = [a_node()]
    done = windlass("nodes", "metrics", "gpu-1", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("power", "gpu_power_watts"),
        ("POWER_LIMIT", "gpu_power_limit_watts"),
        ("util", "gpu_utilization_percent"),
        ("memory_used_bytes", "memory_used_bytes"),
        ("energy", "gpu_energy_joules"),
        ("load", "load_1m"),
    ],
)
def test_a_field_is_meant_by_a_part_of_its_name(word, name):
    assert named(word) == name


def test_a_word_that_may_be_several_fields_is_told_with_them():
    with pytest.raises(InvalidArgument, match="may be any of"):
        named("s")


def test_a_job_shows_what_its_runs_used(windlass, plane):
    plane.state.job_metrics = job_metrics_pb2.GetJobMetricsResponse()
    plane.state.job_metrics.MergeFromString(
        an_answer(a_series("gpu_power_watts", "GPU-1", {0: 100, 59: 300})).SerializeToString()
    )
    shown = windlass("jobs", "metrics", "job-1", "--since", "10m", COLUMNS="160").stdout
    assert "GPU-1" in shown
    (request,) = plane.state.requests["GetJobMetrics"]
    assert request.job_id == "job-1"
    assert "gpu_power_watts" in request.field
    assert request.HasField("start_time")
    assert not request.HasField("resolution")
    plane.state.job_metrics.omitted_runs = 7
    plane.state.job_metrics.notes.append("3 lines made no sense")
    told = windlass("jobs", "metrics", "job-1").stderr
    assert told.splitlines() == [
        "3 lines made no sense",
        "7 earlier runs are left out; --since leaves out others",
    ]


def test_without_a_time_a_job_is_shown_whole(windlass, plane):
    done = windlass("jobs", "metrics", "job-1", "--field", "util", "--resolution", "1m")
    (request,) = plane.state.requests["GetJobMetrics"]
    assert not request.HasField("start_time")
    assert (list(request.field), request.resolution.seconds) == (["gpu_utilization_percent"], 60)
    assert "nothing of that was measured" in done.stderr


def a_curve(metric: str, *values: float, rank: int = 0) -> metrics_pb2.MetricSeries:
    """A value in each second and step."""
    made = metrics_pb2.MetricSeries(metric=metric, rank=rank, run_id="run-abcd")
    for number, value in enumerate(values):
        point = made.points.add(mean=value, min=value, max=value, last=value, count=1, step=number)
        point.time.FromSeconds(1_795_000_000 + number)
    return made


def test_metrics_of_the_jobs_own_are_asked_for_and_shown_beside_the_usual(windlass, plane):
    plane.state.job_metrics = job_metrics_pb2.GetJobMetricsResponse(
        series=[a_curve("custom.loss", 4, 2, 1)]
    )
    shown = windlass("jobs", "metrics", "job-1", COLUMNS="160").stdout.splitlines()[1]
    assert shown.split() == ["custom.loss", "rank", "0", "abcd", "█▃▁", "1", "2.333", "4", "1"]
    (request,) = plane.state.requests["GetJobMetrics"]
    assert list(request.metrics) == ["custom.*"]
    assert "cpu_used_millis" in request.field


def test_curves_are_drawn_one_for_each_metric_with_its_ranks_over_each_other(windlass, plane):
    nan = float("nan")
    plane.state.job_metrics = job_metrics_pb2.GetJobMetricsResponse(
        series=[
            a_curve("custom.loss", *range(50)),
            a_curve("custom.loss", *reversed(range(50)), rank=1),
            a_curve("custom.acc", 1, nan, 1),
            a_curve("custom.nothing", nan),
        ]
    )
    done = windlass("jobs", "metrics", "job-1", "--plot", "--by-step", COLUMNS="60")
    lines = done.stdout.splitlines()
    assert lines[0] == "custom.loss"
    assert lines[1].split() == ["━━", "rank", "0", "abcd", "━━", "rank", "1", "abcd"]
    drawing = lines[2:14]
    assert drawing[0].startswith("         49 ┤")
    assert drawing[11].startswith("          0 ┤")
    # A cross: the corners are taken, the middles of the edges are not.
    blank = "\u2800"
    edge = drawing[0].partition("┤")[2]
    assert edge[0] != blank != edge[-1]
    assert edge[len(edge) // 2] == blank
    assert lines[14].split() == ["0", "step", "49"]
    assert "custom.acc   1 points are no numbers" in lines
    assert "custom.nothing   1 points are no numbers" in lines
    (request,) = plane.state.requests["GetJobMetrics"]
    assert (request.x_axis, list(request.metrics)) == (request.STEP, ["custom.*"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--aggregate", "median"], "BAD_AGGREGATE"),
        (["--live", "-o", "json"], "CONFLICTING_OPTIONS"),
        (["--since", "never"], "BAD_TIME"),
    ],
)
def test_options_that_make_no_sense_are_refused(windlass, plane, options, reason):
    done = windlass("jobs", "metrics", "job-1", *options)
    assert done.exit_code == 2
    assert f"({reason})" in done.stderr


def test_ranks_become_one_as_asked_for(windlass, plane):
    windlass("jobs", "metrics", "job-1", "-m", "cpu", "--aggregate", "sum")
    (request,) = plane.state.requests["GetJobMetrics"]
    assert (request.aggregate, list(request.metrics)) == (request.SUM, ["cpu"])


def test_a_profile_is_written_to_a_file(windlass, plane, tmp_path):
    file = tmp_path / "flame.svg"
    done = windlass(
        "jobs", "profile", "job-1", "--to", str(file), "--rank", "2", "--duration", "3s"
    )
    assert file.read_bytes() == b"<svg/>"
    assert done.stderr == f"written to {file}\n"
    (request,) = plane.state.requests["ProfileJob"]
    assert (request.job_id, request.rank, request.duration.seconds) == ("job-1", 2, 3)
    assert windlass("jobs", "profile", "job-1", "--to", "-").stdout == "<svg/>"


def test_a_profile_of_a_form_that_there_is_not_is_refused(windlass, plane):
    done = windlass("jobs", "profile", "job-1", "--format", "png")
    assert done.exit_code == 2
    assert "(BAD_FORMAT)" in done.stderr
