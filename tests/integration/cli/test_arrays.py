"""Arrays on the command line, against a control plane that remembers what it was asked."""

import json

import pytest

from windlass.jobs.v1 import job_array_indices_pb2, job_array_pb2, job_pb2
from windlass_client.cli import arrays
from windlass_client.cli.output import console

Index = job_array_indices_pb2.ArrayIndex


@pytest.mark.parametrize(
    ("words", "array"),
    [
        (["--array", "1000"], {"count": 1000}),
        (["--array", "1000", "--parallel", "50"], {"count": 1000, "parallel": 50}),
        (["--array", "0-9,17"], {"indices": "0-9,17"}),
    ],
)
def test_an_array_is_a_count_or_indices(windlass, plane, words, array):
    assert windlass("submit", *words, "--", "true").exit_code == 0
    assert plane.state.jobs["job-1"].array == job_array_pb2.JobArray(**array)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--array", "many"], "neither a count"),
        (["--array", "1-"], "neither a count"),
        (["--parallel", "3"], "--parallel goes with --array"),
        (["--array", "3", "--follow"], "no output of its own"),
    ],
)
def test_what_is_no_array_is_refused_before_anything_is_sent(windlass, plane, words, told):
    done = windlass("submit", *words, "--", "true")
    assert done.exit_code != 0
    assert told in " ".join(done.stderr.replace("│", " ").split())
    assert "SubmitJob" not in plane.state.requests


def an_array(windlass) -> str:
    return windlass("submit", "--array", "3", "--", "true").stdout.strip()


def test_the_picture_has_a_cell_for_each_index_and_names_what_failed(windlass):
    done = windlass("jobs", "array", an_array(windlass))
    assert done.exit_code == 0, done.stderr
    assert "0 ■x·" in done.stdout
    assert "1 SUCCEEDED" in done.stdout
    assert "job-11" in done.stdout


def test_the_indices_of_a_status_are_a_line_each(windlass, plane):
    done = windlass("jobs", "array", an_array(windlass), "--status", "failed")
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [
        ["1", "FAILED", "job-11"]
    ]
    assert windlass("jobs", "array", "job-1", "--index", "9").stderr == "no such indices\n"


def test_as_json_all_pages_are_one(windlass):
    shown = json.loads(windlass("jobs", "array", an_array(windlass), "-o", "json").stdout)
    assert [one["index"] for one in shown["indices"]] == [0, 1, 2]


def test_how_many_run_at_once_is_changed_before_it_is_shown(windlass, plane):
    assert windlass("jobs", "array", an_array(windlass), "--parallel", "5").exit_code == 0
    (request,) = plane.state.requests["UpdateJobArray"]
    assert (request.job_id, request.parallel) == ("job-1", 5)


@pytest.mark.parametrize(
    ("words", "method"),
    [
        (["logs", "job-1/1"], "StreamJobLogs"),
        (["logs", "job-1", "--index", "1"], "StreamJobLogs"),
        (["jobs", "get", "job-1/1"], "GetJob"),
        (["jobs", "events", "job-1/1"], "ListJobEvents"),
        (["cancel", "job-1/1"], "CancelJob"),
        (["retry", "job-1/1"], "UpdateJobStatus"),
    ],
)
def test_an_index_is_named_behind_its_array(windlass, plane, words, method):
    an_array(windlass)
    windlass(*words)
    assert plane.state.requests[method][-1].job_id == "job-11"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("job-1/2", "index 2 of job-1 has no job yet"),
        ("job-1/7", "job-1 has no index 7"),
        ("job-1/x", "nor JOB/INDEX"),
        ("job-1/123456", "nor JOB/INDEX"),
    ],
)
def test_what_is_no_index_with_a_job_is_told(windlass, word, told):
    an_array(windlass)
    done = windlass("logs", word)
    assert done.exit_code != 0
    assert told in done.stderr


def drawn(counts: dict[str, int], statuses: list[str]) -> str:
    indices = [
        Index(index=index, status=job_pb2.Job.Status.Value(status))
        for index, status in enumerate(statuses)
    ]
    job = job_pb2.Job(job_id="job-1", array_status={"total_count": len(statuses), **counts})
    import io

    out = io.StringIO()
    console(out).print(arrays.picture(job, indices))
    return out.getvalue()


def test_a_hundred_thousand_indices_are_a_small_picture_that_hides_no_failure():
    statuses = ["SUCCEEDED"] * 100_000
    statuses[77_777] = "FAILED"
    text = drawn({"succeeded_count": 99_999, "failed_count": 1}, statuses)
    assert len(text.splitlines()) < 40
    assert "each cell is 100 indices" in text
    bar = text.splitlines()[1]
    assert "x" in bar.split()[0]
    assert sum("x" in line.split()[-1] for line in text.splitlines()[3:] if "■" in line) == 1


def test_every_status_has_a_sign_and_a_style():
    assert set(arrays.GLYPHS) == {*job_pb2.Job.Status.keys()[1:]}
