"""Jobs from YAML files: read, laid over by options, refused with their lines, written."""

import json
from random import Random

import pytest

from tests.support.fake_api import Failure
from tests.support.random_messages import fill
from windlass.jobs.v1 import job_pb2
from windlass_client.cli.job_files import parse_jobs, to_yaml
from windlass_client.errors import InvalidArgument

Job = job_pb2.Job
FILE = """\
# what we run each night
name: train
command: [python3, train.py, --epochs, 10]
environment:
  variables: {LR: 0.10, DEBUG: NO, EMPTY: ""}
resources: {gpu_count: 8, gpu_type: H100, memory_bytes: 512GiB}
labels: {team: vision}
time_limit: 1h30m
preemptible: false
start_after: 2030-01-02T03:04:05Z
dependencies:
- {job_id: job-1, type: after_ok}
retry:
  max_attempts: 3
  on_causes: [OUT_OF_MEMORY]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(FILE)
    return str(path)


def sent(plane) -> job_pb2.Job:
    return plane.state.requests["SubmitJob"][-1].job


def test_a_file_says_a_job_in_the_fields_of_the_contract(windlass, plane, file):
    done = windlass("submit", "-f", file)
    assert (done.exit_code, done.stdout) == (0, "job-1\n"), done.output
    job = sent(plane)
    assert list(job.command) == ["python3", "train.py", "--epochs", "10"]
    # As they are written: no number that loses its last digit, and no boolean.
    assert dict(job.environment.variables) == {"LR": "0.10", "DEBUG": "NO", "EMPTY": ""}
    assert (job.resources.gpu_count, job.resources.memory_bytes) == (8, 512 << 30)
    assert (job.time_limit.seconds, job.start_after.seconds) == (5400, 1893553445)
    assert job.HasField("preemptible")
    assert not job.preemptible
    assert job.dependencies[0].type == job_pb2.Dependency.AFTER_OK
    assert job.retry.on_causes == [3]


def test_options_and_a_command_are_laid_over_the_file(windlass, plane, file):
    done = windlass(
        "submit", "-f", file, "--gpus", "0", "--gpu-type", "A100,L40S", "-e", "LR=1", "-e", "NEW=x",
        "--after-any", "job-7", "--preemptible", "--priority", "5", "-p", "mine", "--", "true",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    job = sent(plane)
    assert list(job.command) == ["true"]
    assert (job.resources.gpu_count, job.resources.gpu_type) == (0, "")
    assert list(job.gpu_types) == ["A100", "L40S"]
    assert job.environment.variables["LR"] == "1"
    assert {"DEBUG", "NEW"} < {*job.environment.variables}
    assert [one.job_id for one in job.dependencies] == ["job-7"]
    assert job.preemptible
    # What was not said stays as the file has it.
    assert (job.name, job.priority, job.project) == ("train", 5, "mine")
    assert job.resources.memory_bytes == 512 << 30


@pytest.mark.parametrize("text", [FILE, json.dumps({"command": ["true"], "timeLimit": "90s"})])
def test_what_is_printed_is_what_would_be_submitted(windlass, plane, tmp_path, text):
    (tmp_path / "one").write_text(text)
    printed = windlass("submit", "-f", "one", "--gpus", "2", "--print-yaml")
    assert printed.exit_code == 0, printed.output
    assert plane.state.calls == []
    (tmp_path / "two").write_text(printed.stdout)
    windlass("submit", "-f", "one", "--gpus", "2")
    windlass("submit", "-f", "two")
    first, second = (one.job for one in plane.state.requests["SubmitJob"])
    assert first == second


def test_a_file_gives_a_template_its_arguments(windlass, plane, tmp_path):
    (tmp_path / "job.yaml").write_text(
        "template: {name: t, parameters: {lr: 0.5, n: 3, day: 2026-01-02}}\n"
    )
    done = windlass("submit", "-f", "job.yaml")
    assert done.exit_code == 0, done.output
    assert dict(sent(plane).template.parameters) == {"lr": 0.5, "n": 3, "day": "2026-01-02"}


def test_flags_alone_are_printed_without_what_they_do_not_say(windlass):
    done = windlass("submit", "--gpus", "2", "--time-limit", "1h", "--print-yaml", "--", "a", "b c")
    assert done.stdout == (
        "command:\n- a\n- b c\nresources:\n  gpu_count: 2\ntime_limit: 3600s\n"
    ), done.output


def test_each_document_is_a_job_and_those_refused_are_told_by_their_lines(
    windlass, plane, tmp_path
):
    (tmp_path / "jobs.yaml").write_text(
        "command: [a]\n---\n---\nname: empty\ncommand: []\n---\ncommand: [b]\n"
    )
    done = windlass("submit", "-f", "jobs.yaml", "--queue", "q", "--wait")
    assert done.exit_code != 0
    assert done.stdout == "job-1\njob-3\n"
    assert "jobs.yaml:4: error" in done.stderr
    assert "jobs.yaml:5: command: is required" in done.stderr
    (request,) = plane.state.requests["BatchSubmitJobs"]
    assert [job.queue for job in request.jobs] == ["q"] * 3
    for option in ("--follow", "--validate-only", "--request-id=x"):
        assert windlass("submit", "-f", "jobs.yaml", option).exit_code == 2


def test_what_the_server_refuses_is_told_with_its_line(windlass, plane, file):
    import grpc

    violations = [("job.resources.gpu_type", "is no type"), ("job.retry.backoff.max", "too long")]
    plane.state.failures["SubmitJob"] = [
        Failure(grpc.StatusCode.INVALID_ARGUMENT, violations=violations)
    ]
    done = windlass("submit", "-f", file)
    assert done.exit_code == 2
    assert f"{file}:6: resources.gpu_type: is no type" in done.stderr
    # The nearest that is said of what is not.
    assert f"{file}:14: retry.backoff.max: too long" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("command: [a]\nresources:\n  gpu_cont: 1\n", ":3: resources.gpu_cont: there is no such field; did you mean gpu_count?"),
        ("command: [a]\nzebra: 1\n", ":2: zebra: there is no such field"),
        ("command: [a]\npriority: high\n", ":2: priority: "),
        ("command: [a]\npriority: 99999999999\n", ":2: priority: "),
        ("command: [a]\nresources: {memory_bytes: lots}\n", ":2: resources.memory_bytes: 'lots' is not a size"),
        ("command: [a]\ntime_limit: soon\n", ":2: time_limit: 'soon' is not a duration"),
        ("command: [a]\nstart_after: soon\n", ":2: start_after: "),
        ("command: [a]\nmin_isolation: SAFE\n", ":2: min_isolation: "),
        ("command: a b\n", ":1: command: takes a list"),
        ("command:\n- a\n- [b]\n", ":3: command[1]: takes one value"),
        ("command: [a]\nresources: 8\n", ":2: resources: takes fields"),
        ("command: [a]\nenvironment:\n  variables:\n    A:\n", ":4: environment.variables[A]: takes a value"),
        ("command: [a]\nname: x\nname: y\n", ":3: 'name' is said twice, first on line 2"),
        ("command: [a\nname: x\n", ": this is no YAML"),
        ("- a\n", ":1: a job is a mapping"),
        ("just words\n", ":1: a job is a mapping"),
        ("command: [a]\n? [b]\n: c\n", ":2: a name is no list"),
        ("command: !!python/object/apply:os.system [id]\n", ":1: command: the tag"),
        ("command: [!!python/name:os.system '']\npriority: 1\n", ":1: command[0]: the tag tag:yaml.org,2002:python/name:os.system means nothing here"),
        ("a: &a [*a]\n", ":1: a: there is no such field"),
        ("command: &a [*a]\n", ":1: command[0]: takes one value"),
        ("[" * 5000, "nested too deeply"),
        ("priority: 0b" + "1" * 9 + "2\n", ":1: priority: "),
        ("\x00", "this is no YAML"),
        ("# nothing\n---\n", "has no job in it"),
        (None, "cannot read"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_with_its_line_and_nothing_is_submitted(
    windlass, plane, tmp_path, text, words
):
    if text is not None:
        (tmp_path / "job.yaml").write_text(text)
    done = windlass("submit", "-f", "job.yaml")
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output
    assert "SubmitJob" not in plane.state.calls


def test_the_standard_input_is_a_file_too_and_what_is_shared_is_said_once(plane):
    text = "defaults: 1\n"
    with pytest.raises(InvalidArgument, match="input:1"):
        parse_jobs(text, "input")
    anchored = "labels: &l {team: v}\ncommand: [a]\n---\nlabels: {<<: {team: w, x: y}, team: z}\n"
    one, two = parse_jobs(anchored, "input")
    assert dict(one.job.labels) == {"team": "v"}
    assert dict(two.job.labels) == {"team": "z", "x": "y"}


@pytest.mark.parametrize("seed", range(200))
def test_every_job_is_read_as_it_was_written(seed):
    job = Job()
    fill(job, Random(seed))
    (read,) = parse_jobs(to_yaml(job) or "{}", "file")
    assert read.job.SerializeToString(deterministic=True) == job.SerializeToString(
        deterministic=True
    )
