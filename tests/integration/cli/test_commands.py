import json
import subprocess
import sys

import grpc
import pytest
from typer.testing import CliRunner

from tests.support.fake_api import Failure, a_forecast, a_node
from windlass.jobs.v1 import job_pb2, job_view_pb2
from windlass.jobs.v1.jobs_service_pb2 import UpdateJobStatusRequest
from windlass.resources.v1 import node_pb2, pool_pb2
from windlass.types.v1 import gpu_pb2, types_pb2
from windlass_client.cli import drain_waves
from windlass_client.cli.main import app
from windlass_client.cli.output import bar, moment, printable

Job = job_pb2.Job


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_submit_prints_the_id_alone(windlass, plane):
    done = windlass("submit", "--gpus", "1", "--", "python", "train.py", "--epochs", "3")
    assert (done.exit_code, done.stdout) == (0, "job-1\n")
    assert list(plane.state.jobs["job-1"].command) == ["python", "train.py", "--epochs", "3"]


def test_submit_needs_no_dashes_before_the_command(windlass, plane):
    assert windlass("submit", "-n", "x", "python", "-c", "--gpus", "9").exit_code == 0
    job = plane.state.jobs["job-1"]
    assert list(job.command) == ["python", "-c", "--gpus", "9"]
    assert (job.name, job.resources.gpu_count) == ("x", 0)


def test_the_jobs_of_a_file_are_submitted_and_those_refused_told_by_their_lines(
    windlass, plane, tmp_path
):
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"command": ["a"]}\n\n{"name": "empty"}\n{"command": ["b"], "queue": "q"}\n')
    done = windlass("jobs", "submit-many", str(file))
    assert (done.exit_code, done.stdout) == (2, "job-1\njob-3\n")
    assert f"{file}:3:" in done.stderr
    assert "job.command" in done.stderr
    (request,) = plane.state.requests["BatchSubmitJobs"]
    assert [list(job.command) for job in request.jobs] == [["a"], [], ["b"]]
    shown = json.loads(windlass("jobs", "submit-many", str(file), "-o", "json").stdout)
    assert [one.get("error", {}).get("code", 0) for one in shown["results"]] == [0, 3, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"command": ["a"]}\n[1]\n', ":2: is no JSON object"),
        ('{"command": ["a"]}\nrubbish\n', ":2: is no JSON object"),
        ('{"comand": ["a"]}\n', ":1: that is no job"),
        (None, "cannot read"),
    ],
)
def test_of_a_file_that_is_none_of_jobs_nothing_is_submitted(
    windlass, plane, tmp_path, text, words
):
    file = tmp_path / "jobs.jsonl"
    if text is not None:
        file.write_text(text)
    done = windlass("jobs", "submit-many", str(file))
    assert done.exit_code == 2
    assert words in done.stderr
    assert "BatchSubmitJobs" not in plane.state.calls


def test_submit_passes_every_option(windlass, plane):
    done = windlass(
        "submit", "--name", "n", "--gpus", "2", "--gpu-type", "H100", "--cpus", "1.5",
        "--memory", "4GiB", "--env", "A=1", "--env", "B=x=y", "--label", "team=v", "--queue", "q",
        "--priority", "-5", "--time-limit", "1h30m", "--workdir", "/w", "--project", "p",
        "--pool", "h100",
        "--", "true",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    job = plane.state.requests["SubmitJob"][0].job
    assert dict(job.environment.variables) == {"A": "1", "B": "x=y"}
    assert dict(job.labels) == {"team": "v"}
    assert job.resources.memory_bytes == 4 * 2**30
    assert job.resources.cpu_millis == 1500
    assert (job.queue, job.priority, job.project) == ("q", -5, "p")
    assert job.pool == "h100"
    assert job.time_limit.seconds == 5400
    assert job.environment.working_directory == "/w"


def test_submit_says_where_the_job_may_run(windlass, plane):
    done = windlass(
        "submit", "--gpus", "2", "--gpu-type", "H100,A100", "--exclusive",
        "--node-label", "zone=eu,us", "--node-label", "disk!=hdd", "--node-label", "!old",
        "--prefer-node-label", "rack", "--", "true",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    job = plane.state.requests["SubmitJob"][0].job
    assert (job.resources.gpu_type, list(job.gpu_types)) == ("", ["H100", "A100"])
    assert job.exclusive_node
    rule = job_pb2.NodeLabelRule
    assert list(job.constraints.node_labels) == [
        rule(key="zone", operator=rule.IN, values=["eu", "us"]),
        rule(key="disk", operator=rule.NOT_IN, values=["hdd"]),
        rule(key="old", operator=rule.ABSENT),
        rule(key="rack", operator=rule.EXISTS, preferred=True),
    ]
    shown = " ".join(windlass("jobs", "get", "job-1").stdout.split())
    assert "zone IN eu,us, disk NOT_IN hdd, old ABSENT, rack EXISTS (rather)" in shown
    assert "the whole node" in shown


def test_a_rule_for_no_label_is_a_usage_error(windlass, plane):
    assert windlass("submit", "--node-label", "=eu", "--", "true").exit_code == 2
    assert "SubmitJob" not in plane.state.requests


def test_submit_says_that_a_job_runs_alone_of_its_name_and_what_is_noted_of_it(windlass, plane):
    note = "owner=us; see\nhttps://example.org/?a=b"
    done = windlass("submit", "--singleton", "--annotation", f"note={note}", "--", "true")
    assert done.exit_code == 0, done.output
    job = plane.state.requests["SubmitJob"][0].job
    assert [(one.job_id, one.type) for one in job.dependencies] == [
        ("", job_pb2.Dependency.SINGLETON)
    ]
    assert dict(job.annotations) == {"note": note}
    shown = windlass("jobs", "get", "job-1").stdout
    assert "earlier ones of its name (SINGLETON)" in shown
    assert "https://example.org/?a=b" in shown


def test_show_tells_all_that_is_known_of_a_job(windlass, plane):
    windlass("submit", "--", "true")
    job = plane.state.jobs["job-1"]
    kind = job_view_pb2.JobCondition
    job.conditions.add(
        type=kind.LOGS_COMPLETE, status=kind.FALSE, reason="LOG_LOST", message="m\x1b"
    )
    job.ranks.add(rank=3, run_id="run-3", node_id="node-3", state=job_view_pb2.JobRank.RUNNING)
    job.lineage.retries.append("job-9")
    job.cost.cost, job.cost.currency, job.cost.gpu_seconds = "1.50001", "EUR", "7200"
    job.cost.cpu_core_seconds = job.cost.memory_gib_seconds = "0"
    job.forecast.CopyFrom(a_forecast())
    shown = windlass("jobs", "show", "job-1")
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "cost so far 1.5000 EUR for 7200.0 GPU s" in lines
    assert "retried by job-9" in lines
    assert "LOGS_COMPLETE FALSE LOG_LOST m\\x1b" in lines
    assert "3 RUNNING node-3 run-3" in lines
    assert "verdict WAITS" in lines
    assert plane.state.requests["GetJob"][-1].view == Job.FULL
    assert (
        json.loads(windlass("jobs", "show", "job-1", "-o", "json").stdout)["ranks"][0]["rank"] == 3
    )
    windlass("jobs", "get", "job-1")
    assert plane.state.requests["GetJob"][-1].view == Job.VIEW_UNSPECIFIED


def test_submit_says_what_the_job_waits_for(windlass, plane):
    done = windlass(
        "submit", "--after-ok", "job-8", "--after-ok", "job-9", "--after-any", "job-7",
        "--start-after", "2030-03-17T17:46:40Z", "--", "true",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    job = plane.state.requests["SubmitJob"][0].job
    assert {one.job_id: one.type for one in job.dependencies} == {
        "job-8": job_pb2.Dependency.AFTER_OK,
        "job-9": job_pb2.Dependency.AFTER_OK,
        "job-7": job_pb2.Dependency.AFTER_ANY,
    }
    assert job.start_after.seconds == 1_900_000_000
    shown = windlass("jobs", "get", "job-1").stdout
    assert "job-8 (AFTER_OK)" in shown
    assert "start after" in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--after", "job-1", "--after-any", "job-1"],
        ["--start-after", "tomorrow"],
        ["--start-after", "+soon"],
        ["--start-after", "+99999999999999d"],
    ],
)
def test_what_nobody_can_wait_for_is_a_usage_error(windlass, plane, options):
    done = windlass("submit", *options, "--", "true")
    assert done.exit_code == 2, done.output
    assert "SubmitJob" not in plane.state.requests


def test_how_a_job_is_spread_is_asked_for_and_shown(windlass, plane):
    done = windlass(
        "submit", "-l", "app=a", "--spread", "app:rack", "--max-per-domain", "1", "--", "true"
    )
    assert done.exit_code == 0, done.output
    asked = plane.state.jobs["job-1"].spread
    assert (asked.job_label, asked.node_label, asked.max_per_domain) == ("app", "rack", 1)
    assert "with app=a, over racks, at most 1 in one" in windlass("jobs", "get", "job-1").output
    assert windlass("submit", "--max-per-domain", "1", "--", "true").exit_code == 2


def test_a_reservation_is_named_and_shown(windlass, plane):
    done = windlass("submit", "--reservation", "resv-1", "--", "true")
    assert done.exit_code == 0, done.output
    assert plane.state.jobs["job-1"].reservation_id == "resv-1"
    assert "resv-1" in windlass("jobs", "get", "job-1").output


def test_gpus_that_reach_each_other_are_asked_for_and_shown(windlass, plane):
    done = windlass("submit", "--gpus", "4", "--topology", "nvlink", "--", "true")
    assert done.exit_code == 0, done.output
    job = plane.state.jobs["job-1"]
    assert (job.topology.required, job.topology.preferred) == (1, 0)
    assert "GPUs in one NVLink island" in windlass("jobs", "get", "job-1").output
    assert windlass("submit", "--topology", "moon", "--", "true").exit_code == 2


def test_several_nodes_are_asked_for_and_shown_rank_by_rank(windlass, plane):
    done = windlass(
        "submit", "--nodes", "4", "--min-nodes", "2", "--topology", "block",
        "--prefer-topology", "rack", "--", "true",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    job = plane.state.jobs["job-1"]
    assert (job.nodes, job.min_nodes) == (4, 2)
    assert (job.topology.required, job.topology.preferred) == (4, 3)
    for rank in range(2):
        job.placements.add(rank=rank, node_id=f"node-{rank}", run_id=f"run-{rank}")
    shown = windlass("jobs", "get", "job-1").output
    for text in ("2 to 4, in one block, rather in one rack", "rank 1", "node-1, run-1"):
        assert text in shown
    assert windlass("submit", "--nodes", "0", "--", "true").exit_code == 2


@pytest.mark.parametrize(
    ("options", "asked", "shown"),
    [
        (["--gpu-profile", "1g.10gb"], (0, "", "1g.10gb", 0), []),
        (["--gpus", "2", "--gpu-memory", "20GiB"], (2, "", "", 20 << 30), ["2", ">=", "20", "GiB"]),
        (
            ["--gpus", "3", "--gpu-type", "H100", "--gpu-profile", "2g.20gb"],
            (3, "H100", "2g.20gb", 0),
            ["3", "H100", "2g.20gb"],
        ),
    ],
)
def test_parts_of_gpus_are_asked_for_by_profile_or_memory(windlass, plane, options, asked, shown):
    assert windlass("submit", *options, "--", "true").exit_code == 0
    assert windlass("allocations", "create", *options).exit_code == 0
    job = plane.state.requests["SubmitJob"][0].job.resources
    part = plane.state.requests["Allocate"][0].resources
    for one in (job, part):
        kind = (one.gpu_count, one.gpu_type, one.mig_profile, one.gpu_memory_bytes)
        assert kind == asked
    (line,) = rows(windlass("jobs", "list").stdout)[1:]
    assert line[2 : 2 + len(shown)] == shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory", "lots"], "error: 'lots' is not a size"),
        (["--gpu-memory", "much"], "error: --gpu-memory 'much' is not a size"),
        (["--cpus", "many"], "error: 'many' is not a number of CPUs"),
        (["--time-limit", "soon"], "error: 'soon' is not a duration"),
        (["--env", "novalue"], "error: --env 'novalue' is not KEY=VALUE"),
        (["--server", "a:b"], "error: 'a:b' is not a server address"),
    ],
)
def test_a_value_that_is_none_is_told_in_one_line_and_nothing_is_sent(
    windlass, plane, arguments, words
):
    done = windlass("submit", *arguments, "--", "true")
    assert done.exit_code == 2
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
    assert plane.state.calls == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "--cpus", "9" * 30, "--", "true"],
        ["submit", "--memory", "9999999PiB", "--", "true"],
        ["submit", "--gpus", "99999999999", "--", "true"],
        ["submit", "--priority", "99999999999", "--", "true"],
        ["submit", "--name", "\udcff", "--", "true"],
        ["submit", "--env", "A=\udcff", "--", "true"],
        ["submit", "--", "\udcff"],
        ["jobs", "get", "\udcff"],
        ["jobs", "list", "--name", "\udcff"],
        ["jobs", "list", "--since", "9999999d"],
        ["jobs", "list", "--limit", "9" * 30],
        ["logs", "\udcff"],
        ["logs", "job-1", "--tail", "99999999999"],
        ["logs", "job-1", "--since", "9999999d"],
        ["logs", "job-1", "--since", "soon"],
        ["logs", "job-1", "--until", "2026-13-01"],
        ["logs", "job-1", "--grep", "\udcff"],
        ["logs", "job-1", "--ignore-case"],
        ["logs", "job-1", "--fixed"],
        ["--server", "host:99999", "jobs", "list"],
    ],
)
def test_what_fits_into_no_request_is_a_usage_error_and_nothing_is_sent(windlass, plane, arguments):
    done = windlass(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "error" in done.stderr.lower()
    assert plane.state.calls == []


def test_submit_without_a_command_is_a_usage_error(windlass):
    assert windlass("submit").exit_code == 2


@pytest.mark.parametrize("option", ["--wait", "--follow"])
@pytest.mark.parametrize(
    ("command", "code", "status"), [(["true"], 0, "SUCCEEDED"), (["exit", "7"], 7, "FAILED")]
)
def test_waiting_and_following_end_as_the_job_did(windlass, option, command, code, status):
    done = windlass("submit", option, "--", *command)
    assert done.exit_code == code
    assert f"job-1 {status}" in done.stderr


def test_following_prints_the_jobs_streams_where_they_belong(windlass):
    done = windlass("submit", "--follow", "--", "true")
    assert done.stdout == "line 1\nline 2\nline 3\nline 5\n"
    assert done.stderr == "submitted job-1\nline 4\njob-1 SUCCEEDED\n"


def test_following_survives_a_stream_that_breaks(windlass, plane):
    plane.state.breaks = [(1, "abort"), (2, "silent")]
    done = windlass("submit", "--follow", "--", "true")
    assert done.stdout == "line 1\nline 2\nline 3\nline 5\n"


def test_output_that_was_lost_is_told_beside_what_there_is(windlass, plane):
    plane.state.incomplete = [job_pb2.IncompleteLog(run_id="run-1", message="the disk broke")]
    done = windlass("submit", "--follow", "--", "true")
    assert done.stdout == "line 1\nline 2\nline 3\nline 5\n"
    assert "the output of run-1 is not all there: the disk broke" in done.stderr


@pytest.mark.parametrize("word", ["sandbox", "NameSpaces"])
def test_a_job_can_insist_on_isolation_in_any_case(windlass, plane, word):
    windlass("submit", "--min-isolation", word, "--", "true")
    (job,) = plane.state.jobs.values()
    assert types_pb2.Isolation.Level.Name(job.min_isolation) == word.upper()


def test_an_unknown_isolation_is_a_usage_error_that_names_the_known_ones(windlass):
    done = windlass("submit", "--min-isolation", "safe", "--", "true")
    assert done.exit_code == 2
    assert all(level in done.output for level in ("rlimits", "namespaces", "sandbox"))


def test_validate_only_submits_nothing(windlass, plane):
    done = windlass("submit", "--validate-only", "--", "true")
    assert done.stderr == "the job is valid; nothing was submitted\n"
    assert "INSUFFICIENT_GPUS" in done.stdout
    assert plane.state.jobs == {}


def test_why_a_job_waits_is_told_with_what_would_do_and_what_it_costs(windlass):
    windlass("submit", "--", "true")
    told = a_forecast()
    half, most = moment(told.start_time_p50), moment(told.start_time_p90)
    lines = windlass("jobs", "why", "job-1").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "verdict WAITS",
        "why INSUFFICIENT_GPUS needs 8 GPUs",
        "stops nobody 2 jobs would be stopped for it, but not yet (job-7, of other projects)",
        f"starts by {half} half of the time, by {most} nine times out of ten",
        "served as 12: 12 of at most 100 were added for 2h of waiting",
        "jobs before it 3",
        "refused by 4 of 4 nodes, 2 even when empty: INSUFFICIENT_GPUS (resources.gpu_count)",
        "would do resources.gpu_count: 5 instead of 8",
        "would do pool: none instead of big",
        "cost 2.5 EUR an hour, 5 at most",
    ]
    assert windlass("jobs", "why", "job-9").exit_code == 4


def test_a_job_shows_by_which_priority_it_is_served_where_that_is_not_its_own(windlass, plane):
    windlass("submit", "--priority", "5", "--", "true")
    assert "served as" not in windlass("jobs", "get", "job-1").stdout
    job = plane.state.jobs["job-1"]
    job.effective_priority, job.priority_message = 30, "30 is that of a job that waits for it"
    lines = windlass("jobs", "get", "job-1").stdout.splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert "served as 30: 30 is that of a job that waits for it" in shown


def test_logs_can_start_near_the_end_and_behind_a_cursor(windlass):
    windlass("submit", "--", "true")
    assert windlass("logs", "job-1", "--tail", "1").stdout == "line 5\n"
    assert windlass("logs", "job-1", "--cursor", "2").stdout == "line 3\nline 5\n"
    assert windlass("jobs", "logs", "job-1", "--tail", "1").stdout == "line 5\n"


def test_logs_are_searched_by_the_server(windlass, plane):
    windlass("submit", "--", "true")
    windlass("logs", "job-1", "--since", "2026-11-01T08:00", "--until", "2026-11-02", "-g", "a.b")
    windlass("logs", "job-1", "--grep", "loss(", "--fixed", "--ignore-case", "--since", "10m")
    first, second = plane.state.requests["StreamJobLogs"]
    assert first.since.ToJsonString() == "2026-11-01T08:00:00Z"
    assert first.until.ToJsonString() == "2026-11-02T00:00:00Z"
    assert (first.grep, first.grep_fixed, first.grep_ignore_case) == ("a.b", False, False)
    assert (second.grep, second.grep_fixed, second.grep_ignore_case) == ("loss(", True, True)
    assert second.HasField("since")
    assert not second.HasField("until")


def test_logs_as_json_are_a_message_a_line_with_cursors(windlass):
    windlass("submit", "--", "true")
    messages = [
        json.loads(line) for line in windlass("logs", "job-1", "-o", "json").stdout.splitlines()
    ]
    assert [m["cursor"] for m in messages] == ["1", "2", "3", "4", "5", "5"]
    assert messages[3]["chunk"]["stream"] == "STDERR"
    assert messages[5]["end"]["status"] == "SUCCEEDED"


def test_jobs_list_shows_the_newest_first(windlass):
    windlass("submit", "-n", "one", "--", "true")
    windlass("submit", "-n", "two", "--gpus", "2", "--gpu-type", "H100", "--", "exit", "1")
    done = windlass("jobs", "list")
    heading, first, second = rows(done.stdout)
    assert heading == ["JOB", "NAME", "STATUS", "GPUS", "USER", "AGE", "RAN", "WHY"]
    assert first[:5] == ["job-2", "two", "FAILED", "2", "H100"]
    assert second[:3] == ["job-1", "one", "SUCCEEDED"]
    assert "\x1b" not in done.stdout


def test_jobs_list_filters_by_status_and_says_when_it_cuts(windlass):
    for command in (["true"], ["exit", "1"], ["true"]):
        windlass("submit", "--", *command)
    failed = json.loads(windlass("jobs", "list", "-s", "failed", "-o", "json").stdout)
    assert [job["job_id"] for job in failed["jobs"]] == ["job-2"]
    assert failed["next_page_token"] == ""
    cut = windlass("jobs", "list", "--limit", "2")
    assert len(rows(cut.stdout)) == 3
    assert "--limit 0" in cut.stderr
    assert len(rows(windlass("jobs", "list", "--limit", "0").stdout)) == 4


def test_json_is_what_the_rest_api_prints(windlass):
    windlass("submit", "--memory", "1GiB", "--", "true")
    job = json.loads(windlass("jobs", "get", "job-1", "-o", "json").stdout)
    assert job["job_id"] == "job-1"
    assert job["status"] == "SUCCEEDED"
    assert job["resources"] == {
        "cpu_millis": "0", "memory_bytes": "1073741824", "gpu_count": 0, "gpu_type": "",
        "mig_profile": "", "gpu_millis": 0, "gpu_memory_bytes": "0",
    }  # fmt: skip
    assert job["labels"] == {}
    assert job["create_time"] == "2026-01-02T03:04:05Z"
    assert "time_limit" not in job


def test_jobs_get_shows_what_the_job_ran_with(windlass):
    windlass("submit", "--", "sh", "-c", "echo $HOME")
    shown = windlass("jobs", "get", "job-1").stdout
    assert ["isolation", "SANDBOX"] in rows(shown)
    assert "sh -c 'echo $HOME'" in shown


def test_jobs_get_shows_what_the_job_has_saved(windlass, plane):
    windlass("submit", "--", "true")
    saved = plane.state.jobs["job-1"].checkpoint
    saved.attempt, saved.size_bytes, saved.entry_count = 2, 3 << 30, 7
    saved.create_time.FromJsonString("2026-01-02T03:04:05Z")
    shown = " ".join(windlass("jobs", "get", "job-1").stdout.split())
    assert "checkpoint 3 GiB in 7 files, by attempt 2, 2026-01-02 03:04:05" in shown


def test_jobs_cancel_wait_and_events(windlass):
    windlass("submit", "--", "forever")
    assert windlass("jobs", "wait", "job-1", "--timeout", "10ms").exit_code == 3
    assert windlass("jobs", "cancel", "job-1", "--reason", "enough").stdout == "job-1 CANCELLED\n"
    assert windlass("jobs", "wait", "job-1").exit_code == 1
    events = rows(windlass("jobs", "events", "job-1").stdout)
    assert [row[3] for row in events[1:]] == ["SUBMITTED", "DONE"]


def test_what_a_job_has_saved_is_listed_and_fetched(windlass, plane, tmp_path):
    windlass("submit", "--", "forever")
    nothing = windlass("jobs", "checkpoints", "job-1")
    assert (nothing.exit_code, nothing.stderr) == (0, "no checkpoints\n")
    fetched = windlass("jobs", "checkpoints", "job-1", "--download", "newest")
    assert (fetched.exit_code, "has saved no checkpoint" in fetched.stderr) == (4, True)

    for number, state in ((3, "SAVING"), (2, "SAVED"), (1, "SAVED")):
        plane.state.checkpoints.append(
            job_pb2.Checkpoint(checkpoint_id=f"ckpt-{number}", state=state, attempt=number)
        )
    shown = rows(windlass("jobs", "checkpoints", "job-1").stdout)
    assert [row[:3] for row in shown[1:]] == [
        ["ckpt-3", "SAVING", "3"],
        ["ckpt-2", "SAVED", "2"],
        ["ckpt-1", "SAVED", "1"],
    ]
    fetched = windlass("jobs", "checkpoints", "job-1", "--download", "newest")
    assert (fetched.exit_code, fetched.stdout) == (0, "")
    assert (tmp_path / "ckpt-2.tar").read_bytes() == b"a tar ckpt-2"
    arguments = ("--download", "ckpt-1", "--to", "-")
    assert windlass("jobs", "checkpoints", "job-1", *arguments).stdout_bytes == b"a tar ckpt-1"
    assert windlass("jobs", "checkpoints", "job-1", "--to", "x.tar").exit_code == 2


def test_one_thing_is_done_to_many_jobs_page_by_page(windlass, plane):
    for _ in range(2):
        windlass("submit", "--", "train")
    plane.state.jobs["job-1"].status = Job.RUNNING
    plane.state.jobs["job-2"].status = Job.FAILED
    done = windlass(
        "jobs", "act", "cancel", "--status", "running", "--label", "team=v", "--user", "ada",
        "--filter", "exit_code = 3", "--reason", "why", "--force", "--dry-run",
    )  # fmt: skip
    assert done.exit_code == 1
    assert done.stdout.splitlines() == ["job-1 RUNNING -> CANCELLED", "job-2 FAILED: it has ended"]
    first, second = plane.state.requests["UpdateJobStatuses"]
    assert (first.filter.page_token, second.filter.page_token) == ("", "1")
    assert (first.action, first.reason, first.force, first.validate_only) == (1, "why", True, True)
    asked = first.filter
    assert (list(asked.status), list(asked.labels)) == ([Job.RUNNING], ["team=v"])
    assert (asked.user, asked.filter) == ("ada", "exit_code = 3")
    assert windlass("jobs", "act", "explode").exit_code == 2


def test_jobs_are_held_released_and_killed(windlass, plane):
    windlass("submit", "--", "train")
    asked = plane.state.requests
    actions = {"hold": 3, "release": 4, "suspend": 5, "resume": 6}
    spoken = [
        (words, number) for word, number in actions.items() for words in ([word], ["jobs", word])
    ]
    for words, action in spoken:
        done = windlass(*words, "job-1", "job-9", "--reason", "why")
        assert done.exit_code == 4
        assert done.stdout.startswith("job-1 ")
        request = asked["UpdateJobStatus"][-2]
        assert (request.job_id, request.action, request.reason) == ("job-1", action, "why")
    assert asked["UpdateJobStatus"][-1].mode == 0
    windlass("jobs", "suspend", "job-1", "--freeze")
    assert asked["UpdateJobStatus"][-1].mode == UpdateJobStatusRequest.FREEZE
    plane.state.jobs["job-1"].status = Job.RUNNING
    assert windlass("cancel", "job-1", "--force").stdout == "job-1 CANCELLED\n"
    assert asked["CancelJob"][-1].force


def test_submit_says_when_a_job_runs_again(windlass, plane):
    done = windlass(
        "submit", "--max-attempts", "3", "--retry-on", "17", "--retry-on", "sigabrt",
        "--retry-on", "out_of_memory", "--retry-backoff", "1m", "--", "true",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    retry = plane.state.requests["SubmitJob"][0].job.retry
    assert (retry.max_attempts, retry.backoff.initial.seconds) == (3, 60)
    assert (list(retry.on_exit_codes), list(retry.on_signals), list(retry.on_causes)) == (
        [17],
        [6],
        [3],
    )


@pytest.mark.parametrize(
    "words", [["--retry-on", "3"], ["--max-attempts", "2", "--retry-on", "NEVER"]]
)
def test_a_retry_policy_that_is_none_is_a_usage_error(windlass, words):
    assert windlass("submit", *words, "--", "true").exit_code == 2


def test_a_retry_prints_the_new_job_and_says_what_is_otherwise(windlass, plane):
    windlass("submit", "--", "train")
    done = windlass(
        "retry", "job-1", "--reason", "flaky", "--from-scratch", "-e", "LR=0.1",
        "--set", "resources.memory_bytes=8GiB", "--set", "resources.cpu_millis=1.5",
        "--set", "time_limit=1h30m", "--set", 'command=["a","b=c"]', "--set", "labels.a.b=x y",
        "--set", "environment.variables.SEED=3", "--set", "preemptible=false", "--set", "queue=q",
        "--set", "topology.required=rack", "--set", "start_after=2030-01-01T00:00:00Z",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, "job-2\n")
    (request,) = plane.state.requests["UpdateJobStatus"]
    assert (request.job_id, request.reason, request.from_scratch) == ("job-1", "flaky", True)
    assert request.request_id
    asked = request.overrides
    assert (asked.resources.memory_bytes, asked.resources.cpu_millis) == (8 << 30, 1500)
    assert (asked.time_limit.seconds, list(asked.command)) == (5400, ["a", "b=c"])
    assert dict(asked.labels) == {"a.b": "x y"}
    assert dict(asked.environment.variables) == {"SEED": "3", "LR": "0.1"}
    assert asked.HasField("preemptible")
    assert (asked.preemptible, asked.queue) == (False, "q")
    assert asked.start_after.seconds == 1893456000


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("nonsense", "not FIELD=VALUE"),
        ("bogus=1", "there is no 'bogus'"),
        ("resources.bogus=1", "there is no 'resources.bogus'"),
        ("priority.x=1", "has no fields"),
        ("command.0=x", "has no fields"),
        ("priority=high", "takes a value in JSON"),
        ("command=true", "--set:"),
        ("resources.memory_bytes=much", "much"),
        ("min_isolation=STRONG", "--set:"),
    ],
)
def test_what_a_retry_cannot_have_otherwise_is_a_usage_error(windlass, plane, word, part):
    windlass("submit", "--", "train")
    done = windlass("retry", "job-1", "--set", word)
    assert done.exit_code == 2, done.output
    assert part in done.output
    assert not plane.state.requests["UpdateJobStatus"]


def test_a_job_that_cannot_be_cancelled_keeps_no_other_from_it(windlass):
    for command in (["true"], ["forever"], ["exit", "1"]):
        windlass("submit", "--", *command)
    done = windlass("jobs", "cancel", "job-1", "job-2", "job-3", "job-9")
    assert done.stdout == "job-2 CANCELLED\n"
    assert done.exit_code == 1
    assert [line.split()[-1] for line in done.stderr.splitlines()] == [
        "(JOB_ENDED)", "(JOB_ENDED)", "(JOB_NOT_FOUND)",
    ]  # fmt: skip


def test_commands_about_several_things_answer_one_json_document(windlass, plane):
    for command in (["forever"], ["forever"]):
        windlass("submit", "--", *command)
    done = windlass("jobs", "cancel", "job-1", "job-9", "job-2", "-o", "json")
    jobs = json.loads(done.stdout)["jobs"]
    assert [(job["job_id"], job["status"]) for job in jobs] == [
        ("job-1", "CANCELLED"),
        ("job-2", "CANCELLED"),
    ]
    assert done.exit_code == 4
    waited = json.loads(windlass("jobs", "wait", "job-1", "job-2", "-o", "json").stdout)
    assert [job["job_id"] for job in waited["jobs"]] == ["job-1", "job-2"]
    plane.state.nodes = [a_node(), a_node("gpu-2")]
    closed = json.loads(windlass("nodes", "cordon", "gpu-1", "gpu-2", "-o", "json").stdout)
    assert len(closed["nodes"]) == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["jobs", "list"], "no jobs\n"),
        (["nodes"], "no nodes\n"),
        (["nodes", "list", "--limit", "1"], "no nodes\n"),
        (["reservations"], "no reservations; --all lists also those that are over\n"),
        (["reservations", "list", "--status", "active"], "no reservations\n"),
        (["allocations", "list", "--all"], "no allocations\n"),
        (["drains"], "no drains; --all lists also those that have ended\n"),
    ],
)
def test_a_list_of_nothing_says_so_in_words_and_prints_nothing(windlass, plane, command, words):
    plane.state.nodes = []
    listed = windlass(*command)
    assert (listed.exit_code, listed.stdout, listed.stderr) == (0, "", words)
    assert json.loads(windlass(*command, "-o", "json").stdout)


def test_lists_go_by_status_and_as_far_as_is_asked(windlass, plane):
    assert windlass("reservations", "list", "--status", "Pending").exit_code == 0
    assert plane.state.requests["ListReservations"][-1].status == 1
    refused = windlass("reservations", "list", "--status", "soon")
    assert refused.exit_code == 2
    assert "'soon' is not one of PENDING, ACTIVE, ENDED, CANCELLED" in refused.stderr
    plane.state.nodes = [a_node(), a_node("gpu-2"), a_node("gpu-3")]
    some = windlass("nodes", "list", "--limit", "2")
    assert (len(rows(some.stdout)), some.stderr) == (3, "2 are shown; --limit 0 lists all\n")
    assert len(rows(windlass("nodes", "list").stdout)) == 4


def test_waiting_for_several_jobs_exits_as_the_first_that_failed(windlass):
    for command in (["true"], ["exit", "5"], ["exit", "6"]):
        windlass("submit", "--", *command)
    assert windlass("jobs", "wait", "job-1", "job-2", "job-3").exit_code == 5


@pytest.mark.parametrize("arguments", [["nodes"], ["nodes", "list"]])
def test_nodes_are_listed_with_what_is_free(windlass, plane, arguments):
    plane.state.nodes = [a_node()]
    row = rows(windlass(*arguments).stdout)[1]
    assert row[:6] == ["node-gpu-1", "gpu-1", "READY", "H100", "1/2", "7.5/8"]


def test_a_list_of_nodes_names_what_is_wrong_with_them(windlass, plane):
    bad = a_node()
    bad.conditions.add(type="AgentConnected", status="FALSE", reason="AGENT_SILENT")
    bad.conditions.add(type="GpusHealthy", status="FALSE", reason="GPU_LOST")
    bad.conditions.add(type="InventoryComplete", status="TRUE", reason="ALL_THERE")
    bad.conditions.add(type="DiskSpaceLeft", status="FALSE", reason="DISK_FULL")
    plane.state.nodes = [bad, a_node("gpu-2")]
    heading, first, second = rows(windlass("nodes", "list").stdout)
    assert heading[-1] == "WRONG"
    assert first[-2:] == ["GPU_LOST,", "DISK_FULL"]
    assert second[-1] not in ("ALL_THERE", "DISK_FULL")


def test_an_allocation_is_made_listed_renewed_and_released(windlass, plane):
    made = windlass(
        "allocations", "create", "--gpus", "2", "--gpu-type", "H100", "--cpus", "1.5",
        "--zone", "a", "--exclusive", "--ttl", "1h",
    )  # fmt: skip
    assert (made.exit_code, made.stdout) == (0, "alloc-1\n"), made.stderr
    (asked,) = plane.state.requests["Allocate"]
    assert (asked.resources.gpu_count, asked.resources.cpu_millis) == (2, 1500)
    assert (asked.constraints.exclusive_node, list(asked.constraints.zones)) == (True, ["a"])
    assert (asked.ttl.seconds, bool(asked.request_id)) == (3600, True)
    near = ["--rack", "7", "--require", "rack", "--prefer", "NVLink", "--near", "alloc-1"]
    assert windlass("allocations", "create", *near).exit_code == 0
    constraints = plane.state.requests["Allocate"][1].constraints
    assert list(constraints.racks) == ["7"]
    assert (constraints.topology.required, constraints.topology.preferred) == (3, 1)
    assert constraints.topology.near_allocation_id == "alloc-1"
    assert windlass("allocations", "create", "--require", "moon").exit_code == 2
    listed = rows(windlass("allocations", "list").stdout)
    assert listed[1][:4] == ["alloc-1", "ACTIVE", "ada", "node-gpu-1"]
    assert rows(windlass("allocations").stdout) == listed
    assert ["fencing", "token", "7"] in rows(windlass("allocations", "get", "alloc-1").stdout)
    assert windlass("allocations", "renew", "alloc-1", "--ttl", "5m").exit_code == 0
    assert plane.state.requests["RenewAllocation"][0].ttl.seconds == 300
    assert windlass("allocations", "release", "alloc-1").stdout == "alloc-1 RELEASED\n"
    page = json.loads(windlass("allocations", "list", "-o", "json").stdout)
    assert page["allocations"][0]["gpu_uuids"] == ["GPU-0", "GPU-1"]


@pytest.mark.parametrize(
    ("arguments", "rpc", "shown"),
    [
        (["cordon", "--reason", "fan"], "CordonNode", "CORDONED"),
        (["uncordon"], "UncordonNode", "READY"),
        (["drain", "--mode", "checkpoint-requeue", "--deadline", "10m"], "DrainNode", "DRAINED"),
    ],
)
@pytest.mark.parametrize("word", ["gpu-1", "node-gpu-1"])
def test_nodes_are_closed_and_opened_by_name_or_id(windlass, plane, arguments, rpc, shown, word):
    plane.state.nodes = [a_node(), a_node("gpu-2")]
    done = windlass("nodes", *arguments, word)
    assert (done.exit_code, done.stdout) == (0, f"node-gpu-1 {shown}\n"), done.stderr
    assert [request.node_id for request in plane.state.requests[rpc]] == ["node-gpu-1"]


@pytest.mark.parametrize("word", ["gpu-1", "node-gpu-1"])
def test_what_happened_to_a_node_is_listed(windlass, plane, word):
    plane.state.nodes = [a_node(), a_node("gpu-2")]
    nothing = windlass("nodes", "events", word)
    assert (nothing.exit_code, nothing.stderr) == (0, "no events\n")
    told = [
        (node_pb2.Node.READY, "OPENED", "by a\x1b[31m man"),
        (node_pb2.Node.DRAINED, "DRAINED", "is drained"),
    ]
    plane.state.node_events = [
        node_pb2.NodeEvent(
            sequence=n, node_id="node-gpu-1", actor="ada", status=status, reason=why, message=words
        )
        for n, (status, why, words) in enumerate(told, 1)
    ]
    listed = rows(windlass("nodes", "events", word).stdout)
    assert [row[-5:-2] for row in listed[2:]] == [["DRAINED", "DRAINED", "ada"]]
    assert "\x1b" not in str(listed)
    page = json.loads(windlass("nodes", "events", word, "-o", "json").stdout)
    assert [event["reason"] for event in page["events"]] == ["OPENED", "DRAINED"]
    none = windlass("nodes", "events", "gpu-9")
    assert (none.exit_code, "NODE_NOT_FOUND" in none.stderr) == (4, True)


def test_a_drain_passes_its_options(windlass, plane):
    plane.state.nodes = [a_node()]
    windlass("nodes", "drain", "gpu-1", "--mode", "FORCE", "--deadline", "90s", "--reason", "fire")
    (request,) = plane.state.requests["DrainNode"]
    assert request.mode == node_pb2.Maintenance.FORCE
    assert (request.deadline.seconds, request.reason) == (90, "fire")


def test_a_drain_that_is_waited_for_ends_with_the_node_drained_or_taken_back(windlass, plane):
    plane.state.nodes = [a_node()]
    assert windlass("nodes", "drain", "gpu-1", "--wait").exit_code == 0
    plane.state.drains_to = node_pb2.Maintenance.CORDONED
    taken_back = windlass("nodes", "drain", "gpu-1", "--wait")
    assert taken_back.exit_code == 1
    assert "ended by somebody" in taken_back.stderr


@pytest.mark.parametrize(
    ("names", "word", "code", "words"),
    [
        (["a"], "b", 4, "there is no node 'b'"),
        (["a", "a"], "a", 2, "2 nodes are named 'a'; give one of node-a, node-a"),
    ],
)
def test_a_name_that_no_node_or_several_have_is_told(windlass, plane, names, word, code, words):
    plane.state.nodes = [a_node(name) for name in names]
    done = windlass("nodes", "cordon", word)
    assert done.exit_code == code
    assert words in done.stderr


def test_a_drain_mode_that_there_is_not_is_told_with_those_that_there_are(windlass, plane):
    plane.state.nodes = [a_node()]
    done = windlass("nodes", "drain", "gpu-1", "--mode", "gently")
    assert done.exit_code == 2
    assert "is not one of wait, checkpoint-requeue, force" in done.stderr


def test_nodes_get_shows_the_gpus(windlass, plane):
    plane.state.nodes = [a_node()]
    shown = windlass("nodes", "get", "node-gpu-1").stdout
    assert "1 of 2 free" in shown
    assert "93%" in shown


def test_nodes_get_shows_where_each_gpu_is_and_what_slows_it_down(windlass, plane):
    node = a_node()
    node.gpu_driver_version = node.gpu_driver.version = "570.1"
    node.gpu_driver.cuda_version = "12.8"
    gpu = node.gpus[0]
    gpu.pci_bus_id, gpu.compute_capability = "00000000:1B:00.0", "9.0"
    gpu.nvlink_peers.append("GPU-1")
    gpu.memory_temperature_celsius, gpu.sm_clock_mhz, gpu.energy_joules = 78, 1755, 7.2e6
    gpu.mig_mode = gpu_pb2.Mig.DISABLED
    gpu.throttle_reasons.extend([gpu_pb2.Throttle.GPU_IDLE, gpu_pb2.Throttle.POWER_CAP])
    gpu.ecc_errors.uncorrected_aggregate = 3
    gpu.remapped_rows.correctable = 2
    gpu.pcie_link.max_generation = 5
    gpu.pcie_link.width, gpu.pcie_link.max_width = 8, 16
    node.gpus[1].mig_instance.profile, node.gpus[1].mig_instance.memory_start = "3g.40gb", 4
    plane.state.nodes = [node]
    shown = rows(windlass("nodes", "get", "node-gpu-1").stdout)
    line = "0 GPU-0 00000000:1B:00.0 gen5 x8/16 9.0 DISABLED 1 peers 78°C 1755MHz 2 kWh 0/3 2 POWER_CAP"
    assert line.split() in shown
    assert ["driver", "570.1,", "CUDA", "12.8"] in shown
    assert ["1", "GPU-1", "-", "3g.40gb", "at", "4", "-", "-", "0MHz", "-", "-", "-"] in shown


def test_nodes_get_shows_how_cards_are_divided(windlass, plane):
    node = a_node()
    cards = [node.cards.add(uuid=f"GPU-{number}", gpu_type="H100") for number in range(5)]
    for card in cards[1:]:
        card.may_be_divided = True
    for card, state in zip(cards[2:], ("CHANGING", "DONE", "FAILED"), strict=True):
        card.layout_state = node_pb2.GpuCard.LayoutState.Value(state)
        card.divided = state != "FAILED"
        card.layout_time.FromSeconds(1)
    for start in (0, 5, 6):
        name = "1g.10gb" if start else "3g.40gb"
        cards[2].instances.add(profile=name, memory_start=start)
    cards[2].layout.add(profile="7g.80gb")
    cards[4].layout_message = "in use"
    plane.state.nodes = [node]
    shown = rows(windlass("nodes", "get", "node-gpu-1").stdout)
    of_cards = [row for row in shown if len(row) > 2 and row[2] in ("server", "operator")]
    assert [row[:2] + row[3:-1] for row in of_cards] == [
        ["GPU-1", "H100", "-", "-"],
        ["GPU-2", "H100", *["3g.40gb", "+", "2x1g.10gb", "CHANGING", "to", "7g.80gb"]],
        ["GPU-3", "H100", "nothing", "DONE"],
        ["GPU-4", "H100", "-", "FAILED", of_cards[3][-3], "in"],
    ]


def test_nodes_get_shows_the_conditions_and_what_was_wrong(windlass, plane):
    node = a_node()
    node.conditions.add(type="DiskSpaceLeft", status="FALSE", reason="DISK_FULL", message="full")
    older, newer = node.gpus[0].faults, node.gpus[1].faults
    older.add(kind="XID_31", xid=31, action="IGNORE", message="MMU", job_id="job-1")
    newer.add(kind="XID_48", xid=48, action="RESET_GPU", message="ECC")
    for seconds, fault in ((1, older[0]), (2, newer[0])):
        fault.time.FromSeconds(seconds)
    plane.state.nodes = [node]
    shown = rows(windlass("nodes", "get", "node-gpu-1").stdout)
    (condition,) = [row for row in shown if row[:1] == ["DiskSpaceLeft"]]
    assert (condition[1], condition[-2:]) == ("FALSE", ["DISK_FULL", "full"])
    faults = [row for row in shown if row[:1] in (["XID_31"], ["XID_48"])]
    assert [row[0] for row in faults] == ["XID_48", "XID_31"]
    assert faults[1][-3:] == ["IGNORE", "job-1", "MMU"]


def test_top_once_names_the_owning_job(windlass, plane):
    plane.state.nodes = [a_node()]
    done = windlass("top", "--once")
    busy, free = rows(done.stdout)[1:]
    assert "93%" in busy
    assert "71°C" in busy
    assert "640/700W" in busy
    assert "40/80GiB" in busy
    assert busy[-1] == "job-1"
    assert free[-1] == "HEALTHY"
    page = json.loads(windlass("top", "--once", "-o", "json").stdout)
    assert page["nodes"][0]["gpus"][0]["run_id"] == "run-1"


def test_credentials_are_made_listed_and_revoked(windlass):
    assert windlass("token").stdout == "jwt\n"
    made = windlass("api-keys", "create", "ci@example.com", "--role", "viewer", "--project", "v")
    assert made.stdout == "wl_secret\n"
    assert "key-1" in made.stderr
    listed = windlass("api-keys", "list").stdout
    assert "VIEWER" in listed
    assert "wl_secret" not in listed
    assert windlass("api-keys", "revoke", "key-1").stdout == "key-1 revoked\n"
    assert "revoked" in windlass("api-keys", "list").stdout
    assert windlass("node-token").stdout == "join-me\n"
    assert windlass("api-keys", "create", "x", "--role", "king").exit_code == 2


def test_projects_are_made_and_listed(windlass):
    assert windlass("projects", "create", "vision").stdout == "vision\n"
    taken = windlass("projects", "create", "vision")
    assert (taken.exit_code, taken.stderr) == (1, "error: vision is taken (PROJECT_EXISTS)\n")
    assert [row[0] for row in rows(windlass("projects").stdout)] == ["PROJECT", "default", "vision"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "json", "jobs", "list"],
        ["jobs", "-o", "json", "list"],
        ["jobs", "list", "-o", "json"],
        ["-o", "table", "jobs", "list", "--output", "json"],
    ],
)
def test_shared_options_stand_anywhere_and_the_last_level_wins(windlass, arguments):
    assert json.loads(windlass(*arguments).stdout) == {"jobs": [], "next_page_token": ""}


def test_options_win_over_the_environment(windlass, plane):
    address = plane.address
    done = windlass("--server", address, "jobs", "list", WINDLASS_SERVER="127.0.0.1:1")
    assert done.exit_code == 0
    assert windlass("jobs", "--token", "wrong", "list").exit_code == 5


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 3),
        (grpc.StatusCode.NOT_FOUND, 4),
        (grpc.StatusCode.PERMISSION_DENIED, 5),
        (grpc.StatusCode.UNAUTHENTICATED, 5),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(windlass, plane, code, exit_code):
    plane.state.failures["GetJob"] = [Failure(code, "the why", "THE_REASON")]
    done = windlass("jobs", "get", "job-1")
    assert done.exit_code == exit_code
    assert done.stderr.startswith("error: the why (THE_REASON)\n")
    assert done.stdout == ""


def test_every_field_violation_is_listed(windlass, plane):
    violations = [("job.command", "is empty"), ("job.name", "has a\nbreak and \x1b[31m")]
    plane.state.failures["SubmitJob"] = [
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "2 fields are wrong", "INVALID", violations)
    ]
    done = windlass("submit", "--", "true")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: 2 fields are wrong (INVALID)\n"
        "  job.command: is empty\n"
        "  job.name: has a break and \\x1b[31m\n"
    )


def test_a_server_that_is_not_there_is_named(windlass):
    done = windlass("jobs", "list", WINDLASS_SERVER="127.0.0.1:1")
    assert done.exit_code == 3
    assert done.stderr.startswith("error: cannot reach the server at 127.0.0.1:1: ")
    assert "windlass up" in done.stderr


def test_a_token_file_is_used_and_never_shown(windlass, plane, tmp_path):
    file = tmp_path / "token"
    file.write_text("wl_other\n")
    plane.state.token = "wl_other"
    done = windlass("jobs", "list", WINDLASS_TOKEN=None, WINDLASS_TOKEN_FILE=str(file))
    assert done.exit_code == 0
    assert "wl_other" not in done.output


def test_the_token_that_up_left_here_is_found(windlass, plane, tmp_path):
    (tmp_path / "windlass-data").mkdir()
    (tmp_path / "windlass-data" / "admin.token").write_text("wl_admin")
    plane.state.token = "wl_admin"
    assert windlass("jobs", "list", WINDLASS_TOKEN=None).exit_code == 0


def test_version_tells_both_sides_and_does_without_a_server(windlass):
    assert "server 9.9.9 (sqlite)" in windlass("version").stdout
    alone = windlass("version", "-o", "json", WINDLASS_SERVER="127.0.0.1:1")
    assert alone.exit_code == 0
    assert json.loads(alone.stdout)["server"] is None
    assert windlass("--version").stdout.startswith("windlass ")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["submit", "--help"], ["jobs", "list", "-h"], ["up", "--help"], ["top", "--help"]],
)
def test_help_has_examples_and_needs_no_grpc(arguments):
    probe = (
        "import sys; from windlass_client.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'grpc', 'google', 'windlass.jobs'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "windlass" in done.stdout


@pytest.mark.parametrize(
    ("begun", "words"),
    [
        ("windlass jo", ["jobs"]),
        ("windlass jobs li", ["list"]),
        ("windlass jobs list --st", ["--status"]),
        ("windlass jobs list --status S", ["SCHEDULED", "SUCCEEDED", "SUSPENDED", "SUSPENDING"]),
        ("windlass jobs list --status c", ["cancelling", "cancelled"]),
        ("windlass jobs list --output j", ["json"]),
        ("windlass logs job-1 --stream stde", ["stderr"]),
        ("windlass api-keys create ada --role d", ["developer"]),
    ],
)
def test_the_shell_completes_commands_options_and_values(begun, words):
    completion = {
        "_WINDLASS_COMPLETE": "complete_bash",
        "COMP_WORDS": begun,
        "COMP_CWORD": str(len(begun.split()) - 1),
    }
    done = CliRunner(env=completion).invoke(app, prog_name="windlass")
    assert done.stdout.split() == words


def test_control_characters_are_spelt_out():
    assert printable("a\x1b[31mb\u202ec\n") == "a\\x1b[31mb\\u202ec\n"


@pytest.mark.parametrize(
    ("share", "shown"),
    [(-1, "····"), (0, "····"), (0.5, "██··"), (0.6, "██▍·"), (1, "████"), (9, "████")],
)
def test_a_bar_stays_within_its_width(share, shown):
    assert bar(share, width=4).plain == shown


def test_nodes_are_listed_by_filters(windlass, plane):
    plane.state.nodes = [a_node()]
    done = windlass(
        "nodes", "list", "--status", "ready", "--gpu-type", "H100", "--cluster", "east",
        "--zone", "z1", "--label", "rack=7", "--label", "odd=x=y",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (asked,) = plane.state.requests["ListNodes"]
    assert (asked.status, asked.gpu_type) == (node_pb2.Node.READY, "H100")
    assert (asked.cluster, asked.zone) == ("east", "z1")
    assert list(asked.labels) == ["rack=7", "odd=x=y"]


@pytest.mark.parametrize(
    ("option", "word", "said"),
    [
        ("--status", "well", "'well' is not one of READY, UNREACHABLE"),
        ("--label", "rack", "'rack' is not KEY=VALUE"),
        ("--label", "=7", "'=7' is not KEY=VALUE"),
    ],
)
def test_a_filter_of_nodes_that_is_none_is_refused(windlass, plane, option, word, said):
    done = windlass("nodes", "list", option, word)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "ListNodes" not in plane.state.calls


def test_a_node_is_removed_by_name(windlass, plane):
    plane.state.nodes = [a_node(), a_node("gpu-2")]
    done = windlass("nodes", "remove", "gpu-2", "--force")
    assert done.stdout == "node-gpu-2 removed (gpu-2)\n"
    assert plane.state.requests["DeleteNode"][0].force
    assert [node.name for node in plane.state.nodes] == ["gpu-1"]


def test_a_drain_of_many_nodes_is_begun_watched_and_listed(windlass, plane, monkeypatch):
    monkeypatch.setattr(drain_waves, "_LOOK_EVERY_SECONDS", 0)
    begun = windlass("nodes", "drain", "node-1", "node-2", "--max-unavailable", "1")
    assert begun.stdout == "drain-1\n"
    (asked,) = plane.state.requests["DrainNodes"]
    assert (list(asked.node_ids), asked.max_unavailable) == (["node-1", "node-2"], 1)
    assert "drain-1" in windlass("drains").stdout
    assert json.loads(windlass("drains", "list", "-o", "json").stdout)["drains"][0]["user"] == "ada"
    waited = windlass(
        "nodes", "drain", "node-3", "node-4", "--max-unavailable", "2", "--wait",
        "--afterwards", "uncordon", "--deadline", "10m", "--mode", "force",
    )  # fmt: skip
    assert waited.exit_code == 0
    assert ["node-4", "DRAINED"] in rows(waited.stdout)
    asked = plane.state.requests["DrainNodes"][1]
    assert (asked.deadline.seconds, asked.mode, asked.afterwards) == (600, 3, 3)
    assert windlass("drains", "cancel", "drain-1").stdout == "drain-1 CANCELLED\n"
    assert "drain-1 CANCELLED" in windlass("drains", "get", "drain-1").stdout


def test_reservations_from_the_first_to_the_last(windlass, plane):
    made = windlass(
        "reservations", "create", "--gpus", "16", "--gpu-type", "H100", "--for", "8h",
        "--start", "2030-01-01T20:00:00Z", "--user", "ada", "--cron", "0 22 * * *",
        "--time-zone", "Europe/Berlin", "--until", "2031-01-01T00:00:00Z",
    )  # fmt: skip
    assert made.stdout == "resv-1\n"
    (asked,) = plane.state.requests["CreateReservation"]
    wanted = asked.reservation
    assert (wanted.resources.gpu_count, wanted.resources.gpu_type) == (16, "H100")
    assert wanted.start_time.ToJsonString() == "2030-01-01T20:00:00Z"
    assert wanted.end_time.ToJsonString() == "2030-01-02T04:00:00Z"
    assert (wanted.recurrence.cron, list(wanted.users)) == ("0 22 * * *", ["ada"])
    assert wanted.recurrence.until.ToJsonString() == "2031-01-01T00:00:00Z"
    listed = " ".join(windlass("reservations").stdout.split())
    assert "resv-1 PENDING default (ada) 2030-01-01 20:00:00" in listed
    assert "16 H100 on 1 node" in listed
    windlass("reservations", "update", "resv-1", "--reason", "demo", "--user", "bob")
    shown = rows(windlass("reservations", "get", "resv-1").stdout)
    assert ["reason", "demo"] in shown
    assert ["for", "default", "(bob)"] in shown
    assert windlass("reservations", "cancel", "resv-1").stdout == "resv-1 CANCELLED\n"
    assert "resv-1" not in windlass("reservations", "list").stdout
    assert "resv-1" in windlass("reservations", "list", "--all").stdout


def test_a_reservation_can_begin_in_a_while_and_be_for_nobody(windlass, plane):
    plane.state.nodes = [a_node()]
    windlass(
        "reservations", "create", "--node", "node-gpu-1", "--maintenance", "--start", "+2h",
        "--for", "30m",
    )  # fmt: skip
    wanted = plane.state.requests["CreateReservation"][0].reservation
    assert (list(wanted.node_ids), wanted.maintenance, wanted.project) == (["node-gpu-1"], True, "")
    assert wanted.end_time.seconds - wanted.start_time.seconds == 1800


@pytest.mark.parametrize(
    "times", [(), ("--end", "+1h", "--for", "1h"), ("--end", "soon"), ("--for", "long")]
)
def test_a_reservation_without_an_end_that_makes_sense_is_not_asked_for(windlass, plane, times):
    assert windlass("reservations", "create", "--gpus", "1", *times).exit_code == 2
    assert plane.state.requests["CreateReservation"] == []


def test_drains_create_says_which_nodes_are_meant(windlass, plane):
    windlass("drains", "create", "--label", "rack=7", "--zone", "a", "--gpu-type", "H100")
    (asked,) = plane.state.requests["DrainNodes"]
    assert (list(asked.selector.labels), asked.selector.zone) == (["rack=7"], "a")
    windlass("drains", "create", "--all")
    assert plane.state.requests["DrainNodes"][1].selector.all
    assert windlass("drains", "create", "--label", "rack").exit_code == 2
    assert windlass("drains", "create", "--afterwards", "burn").exit_code == 2
    assert windlass("nodes", "drain", "node-1", "--afterwards", "uncordon").exit_code == 2


def test_clusters_from_the_first_to_the_last(windlass, plane):
    assert windlass("clusters", "create", "east", "--description", "hall").stdout == "east\n"
    assert windlass("clusters", "update", "east", "--description", "new hall").exit_code == 0
    listed = windlass("clusters", "list").stdout
    assert rows(listed)[1][0] == "east"
    assert "new hall" in listed
    assert json.loads(windlass("clusters", "get", "east", "-o", "json").stdout) == {
        **json.loads(windlass("clusters", "-o", "json").stdout)["clusters"][0]
    }
    assert windlass("node-token", "--cluster", "east").exit_code == 0
    assert plane.state.requests["CreateJoinToken"][0].cluster == "east"
    assert windlass("clusters", "delete", "east").stdout == "east deleted\n"
    assert plane.state.clusters == {}


def test_pools_from_the_first_to_the_last(windlass, plane):
    made = windlass(
        "pools", "create", "h100", "--gpu-type", "H100", "--zone", "a", "--zone", "b",
        "--label", "rack=7", "--cluster", "east", "--priority", "3", "--description", "big ones",
        "--cpu-overcommit", "1.5", "--allow", "vision",
    )  # fmt: skip
    assert made.stdout == "h100\n", made.output
    pool = plane.state.pools["h100"]
    assert list(pool.selector.zones) == ["a", "b"]
    assert (dict(pool.selector.labels), list(pool.selector.clusters)) == ({"rack": "7"}, ["east"])
    assert (pool.overcommit.cpu_ratio, pool.overcommit.memory_ratio) == (1.5, 1)
    assert (pool.priority, list(pool.allowed_projects)) == (3, ["vision"])

    assert windlass("pools", "update", "h100", "--memory-overcommit", "2").exit_code == 0
    assert (pool.overcommit.cpu_ratio, pool.overcommit.memory_ratio) == (1.5, 2)
    assert windlass("pools", "update", "h100", "--allow-all", "--gpu-type", "L4").exit_code == 0
    assert (list(pool.allowed_projects), list(pool.selector.gpu_types)) == ([], ["L4"])
    assert not pool.selector.zones
    mask = plane.state.requests["UpdatePool"][-1].update_mask
    assert list(mask.paths) == ["selector", "allowed_projects"]
    assert windlass("pools", "delete", "h100").stdout == "h100 deleted\n"
    assert plane.state.pools == {}


def test_whether_gpus_are_shared_and_by_how_many_are_changed_apart(windlass, plane):
    shares = ("--share-gpus", "--max-jobs-per-gpu", "4")
    assert windlass("pools", "create", "small", "--zone", "a", *shares).exit_code == 0
    sharing = plane.state.pools["small"].sharing
    assert (sharing.enabled, sharing.max_jobs_per_gpu) == (True, 4)
    assert "by at most 4 jobs each" in windlass("pools", "get", "small").stdout
    for option, enabled, most in (
        (("--max-jobs-per-gpu", "0"), True, 0),
        (("--no-share-gpus",), False, 0),
        (("--share-gpus",), True, 0),
    ):
        assert windlass("pools", "update", "small", *option).exit_code == 0
        sharing = plane.state.pools["small"].sharing
        assert (sharing.enabled, sharing.max_jobs_per_gpu) == (enabled, most)
    assert "by as many jobs as fit" in windlass("pools", "get", "small").stdout
    assert windlass("pools", "update", "small", "--priority", "1").exit_code == 0
    mask = plane.state.requests["UpdatePool"][-1].update_mask
    assert list(mask.paths) == ["priority"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--gpu-memory", "0", "asks for no memory"),
        ("--gpu-memory", "0GiB", "asks for no memory"),
        ("--gpu-memory", "99999999999GiB", "is more bytes than can be asked for"),
        ("--gpu-memory", str(2**63), "is more bytes than can be asked for"),
        ("--gpu-share", "0", "asks for no share"),
        ("--gpu-share", "0.000", "asks for no share"),
    ],
)
@pytest.mark.parametrize("words_before", [("submit",), ("allocations", "create")])
def test_a_part_of_a_gpu_that_is_nothing_or_too_much_is_refused_by_its_option(
    windlass, plane, words_before, option, value, words
):
    command = ("--", "true") if words_before == ("submit",) else ()
    done = windlass(*words_before, option, value, *command)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {option} {value!r} {words}")
    assert plane.state.calls == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--gpus", "99999999999", "gpus cannot be 99999999999: no request holds that (BAD_VALUE)"),
        ("--memory", "9999999PiB", "'9999999PiB' is more bytes than can be asked for (BAD_SIZE)"),
        ("--cpus", "9" * 20, f"'{'9' * 20}' is more CPUs than can be asked for (BAD_CPUS)"),
    ],
)
@pytest.mark.parametrize("words_before", [("submit",), ("allocations", "create")])
def test_an_absurd_amount_is_refused_in_words(windlass, plane, words_before, option, value, words):
    command = ("--", "true") if words_before == ("submit",) else ()
    done = windlass(*words_before, option, value, *command)
    assert (done.exit_code, done.stderr) == (2, f"error: {words}\n")
    assert plane.state.calls == []


@pytest.mark.parametrize("words", [("submit", "--", "true"), ("allocations", "create")])
def test_a_share_of_a_gpu_is_asked_for_in_parts_of_one(windlass, plane, words):
    command, *rest = words
    option = ["--gpu-share", "0.25", "--gpu-type", "H100"]
    asked = [command, *option, *rest] if command == "submit" else [command, *rest, *option]
    done = windlass(*asked)
    assert done.exit_code == 0, done.output
    requests = plane.state.requests
    resources = (
        requests["SubmitJob"][0].job if command == "submit" else requests["Allocate"][0]
    ).resources
    assert (resources.gpu_millis, resources.gpu_type) == (250, "H100")
    asked[asked.index("0.25")] = "1"
    assert windlass(*asked).exit_code == 2


def test_a_pool_is_shown_with_what_is_free(windlass, plane):
    plane.state.pools["h100"] = pool_pb2.Pool(
        pool_id="h100",
        restricted=True,
        allowed_projects=["vision"],
        overcommit=pool_pb2.Overcommit(cpu_ratio=2),
        capacity=node_pb2.Capacity(cpu_millis=8000, memory_bytes=2**34, gpu_count=8),
        allocatable=node_pb2.Capacity(cpu_millis=16000, memory_bytes=2**34, gpu_count=8),
        allocated=node_pb2.Capacity(cpu_millis=4000, memory_bytes=2**33, gpu_count=6),
        available=node_pb2.Capacity(cpu_millis=12000, memory_bytes=2**33, gpu_count=1),
        utilization=pool_pb2.Utilization(gpu_used=0.5),
        node_counts={"READY": 1, "DRAINING": 2},
        job_counts={"RUNNING": 3},
        queue_depth=4,
        fragmentation=pool_pb2.Fragmentation(
            idle_gpus=1,
            summary="1 GPU idle, all of them useless to your 8-GPU jobs",
            classes=[
                pool_pb2.Fragmentation.DemandClass(
                    resources=types_pb2.ResourceRequest(gpu_count=8, cpu_millis=1000),
                    waiting_jobs=7,
                    useless_gpus=1,
                    useless_share=1,
                )
            ],
        ),
    )
    assert rows(windlass("pools").stdout)[1] == [
        "h100", "3", "1/8", "12/16", "8", "GiB/16", "GiB", "3", "4", "vision",
    ]  # fmt: skip
    shown = windlass("pools", "get", "h100").stdout
    for words in (
        "6 of 8, 1 free, 50% in use",
        "4 of 16 (2 times 8)",
        "8 GiB of 16 GiB",
        "2 DRAINING, 1 READY",
        "1 GPU idle, all of them useless to your 8-GPU jobs",
        "1 of 1 (100%)",
    ):
        assert words in shown


def test_help_names_the_extra_that_a_new_machine_needs(windlass):
    shown = " ".join(windlass("nodes", "join-command", "--help").stdout.split())
    assert "pip install 'windlass[agent]'" in shown
