"""`windlass quotas` against a control plane in memory."""

import json

import pytest

from windlass.access.v1 import quota_pb2


def test_a_quota_is_set_changed_listed_and_deleted(windlass, plane):
    done = windlass(
        "quotas", "set", "vision", "--guaranteed", "gpus=8,cpus=64", "--borrow", "gpus=0.5",
        "--limit", "memory=256GiB", "--limit", "running=20,queued=500", "--cohort", "research",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    (request,) = plane.state.requests["CreateQuota"]
    assert request.quota == quota_pb2.Quota(
        project="vision",
        cohort="research",
        guaranteed={"gpu_millis": 8000, "cpu_millis": 64_000},
        borrowing_limit={"gpu_millis": 500},
        limit={"memory_bytes": 256 << 30, "running_jobs": 20, "queued_jobs": 500},
    )
    plane.state.quotas[0].use.gpu_millis = 6000
    listed = windlass("quotas").stdout.splitlines()
    assert [line.split()[4] for line in listed[1:]] == ["GPUs", "CPUs", "memory", "jobs", "jobs"]
    assert listed[1].split()[:6] == ["quota-1", "vision", "all", "-", "GPUs", "6"]
    assert listed[1].split()[-3:] == ["8", "0.5", "-"]
    assert "███████" in listed[1]
    as_json = json.loads(windlass("quotas", "list", "-o", "json").stdout)
    assert as_json["quotas"][0]["guaranteed"]["gpu_millis"] == "8000"
    shown = " ".join(windlass("quotas", "get", "quota-1").stdout.split())
    assert "guaranteed 8 GPUs, 64 CPUs" in shown
    assert "may borrow 0.5 GPUs" in shown
    changed = windlass("quotas", "set", "vision", "--limit", "none", "--borrow", "gpus=0")
    assert changed.exit_code == 0, changed.stderr
    (update,) = plane.state.requests["UpdateQuota"]
    assert (update.quota.quota_id, list(update.update_mask.paths)) == (
        "quota-1",
        ["borrowing_limit", "limit"],
    )
    assert update.quota.borrowing_limit.HasField("gpu_millis")
    assert windlass("quotas", "delete", "quota-1").stdout == "quota-1 deleted\n"
    assert windlass("quotas").stderr == "no quotas\n"


def test_the_highest_priority_is_set_and_listed(windlass, plane):
    done = windlass("quotas", "set", "vision", "--max-priority", "100")
    assert done.exit_code == 0, done.stderr
    (request,) = plane.state.requests["CreateQuota"]
    assert request.quota == quota_pb2.Quota(project="vision", max_priority=100)
    (_, line) = windlass("quotas").stdout.splitlines()
    assert line.split()[1:] == ["vision", "all", "-", "priority", "-", "-", "-", "100"]
    windlass("quotas", "set", "vision", "--max-priority", "-5")
    (update,) = plane.state.requests["UpdateQuota"]
    assert (update.quota.max_priority, list(update.update_mask.paths)) == (-5, ["max_priority"])


def test_who_changed_what_of_a_quota_is_listed(windlass, plane):
    assert windlass("quotas", "events", "quota-1").stdout.splitlines()[1].split() == [
        *("2026-01-02", "03:04:05", "ada", "QUOTA_CREATED"),
        *("project", "vision:", "guaranteed", "8", "GPUs"),
    ]
    assert plane.state.requests["ListQuotaEvents"][0].quota_id == "quota-1"


def test_the_quota_of_a_user_or_a_type_is_another_one(windlass, plane):
    for extra in ([], ["--user", "ann"], ["--gpu-type", "H100"], ["--gpu-type", "h100"]):
        done = windlass("quotas", "set", "vision", "--limit", "gpus=2", *extra)
        assert done.exit_code == 0, done.stderr
    made = [(one.user, one.gpu_type) for one in plane.state.quotas]
    assert made == [("", ""), ("ann", ""), ("", "H100")]
    assert len(plane.state.requests["UpdateQuota"]) == 1
    windlass("-p", "vision", "quotas", "list", "--user", "ann")
    asked = plane.state.requests["ListQuotas"][-1]
    assert (asked.project, asked.user) == ("vision", "ann")


def test_a_quota_that_is_exceeded_says_so(windlass, plane):
    plane.state.quotas.append(
        quota_pb2.Quota(quota_id="quota-1", project="vision", exceeded=True, status_message="too much")
    )  # fmt: skip
    assert "exceeded  too much" in windlass("quotas", "get", "quota-1").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "gpus"], "error: 'gpus' is not one of gpus=…, cpus=…, memory=…, running=…, queued=…, artifacts=…, none"),
        (["--guaranteed", "running=1"], "error: 'running=1' is not one of gpus=…, cpus=…, memory=…, none"),
        (["--limit", "running=x"], "error: 'x' is not a number of jobs"),
        (["--limit", "memory=much"], "error: 'much' is not a size"),
        (["--limit", "gpus=-1"], "error: '-1' is not a number of GPUs; write such as 8 or 0.5 (BAD_GPUS)"),
        (["--limit", "cpus=-1"], "error: '-1' is not a number of CPUs"),
        (["--limit", "gpus=9e99"], "error: '9e99' is not a number of GPUs"),
        (["--limit", f"gpus={10**20}"], f"error: '{10**20}' is more GPUs than can be asked for (BAD_GPUS)"),
        (["--limit", f"cpus={10**20}"], f"error: '{10**20}' is more CPUs than can be asked for (BAD_CPUS)"),
        (["--limit", "memory=9999999PiB"], "error: '9999999PiB' is more bytes than can be asked for (BAD_SIZE)"),
        (["--limit", f"running={10**20}"], f"error: {10**20} jobs are more than can be counted: 2147483647 (BAD_COUNT)"),
    ],
)  # fmt: skip
def test_what_is_none_is_told_in_one_line_and_nothing_is_sent(windlass, plane, arguments, words):
    done = windlass("quotas", "set", "vision", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(words)
    assert plane.state.calls == []


def test_help_shows_examples(windlass):
    assert "windlass quotas set vision --guaranteed" in windlass("quotas", "set", "--help").stdout
