"""Policies in files, good and bad."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.simulation.timed import a_job, a_node, starts
from windlass_server.scheduler.policies import BUILT_IN, Aging, FairShare, Policies
from windlass_server.scheduler.quota import Dimension
from windlass_server.simulation import policy_file
from windlass_server.simulation.__main__ import main
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import Workload

HOUR = 3_600_000_000
ONE = """\
fair_share: {half_life: 3600s, weights: [{project: vision, weight: 2}]}
aging: {boost: 100, over: 7200s}
backfill: {depth: 3}
preemption: {enabled: true}
"""
SEVERAL = """\
default: {fair_share: {disabled: true}, backfill: {depth: 0}}
queue.research: {backfill: {depth: 4}}
pool.h100: {}
"""


def read(folder: Path, text: str) -> Policies:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    turns = policy_file.read(file)
    assert turns.name == "mine.yaml"
    return turns.policies


def test_a_file_is_the_policy_of_everything(tmp_path: Path):
    settings = read(tmp_path, ONE).of_cluster()
    assert settings.fair_share == FairShare(half_life=HOUR, weights={("vision", ""): 2.0})
    assert settings.aging == Aging(100, 2 * HOUR)
    assert settings.backfill.depth == 3
    assert settings.preemption == replace(BUILT_IN.preemption, enabled=True)


def test_a_file_may_hold_several_by_their_ids(tmp_path: Path):
    policies = read(tmp_path, SEVERAL)
    assert not policies.of_cluster().fair_share.enabled
    assert policies.of_job("research").backfill.depth == 4
    assert policies.of_job("other").backfill.depth == 0
    assert policies.pools.keys() == {"h100"}


def test_what_a_server_prints_is_read_as_well(tmp_path: Path):
    printed = {"policy_id": "default", "backfill": {"depth": 2}, "etag": "4"}
    assert read(tmp_path, json.dumps(printed)).of_cluster().backfill.depth == 2


def test_quotas_stand_beside_policies(tmp_path: Path):
    """As `windlass quotas list --output json` prints them, with what is had of them."""
    file = tmp_path / "mine.yaml"
    one = {"project": "a", "limit": {"gpu_millis": "8000"}, "use": {"gpu_millis": "3000"}}
    for said in ([one], {"quotas": [one], "next_page_token": ""}):
        file.write_text(json.dumps({"backfill": {"depth": 2}, "quotas": said}), encoding="utf-8")
        turns = policy_file.read(file)
        assert turns.policies.of_cluster().backfill.depth == 2
        (quota,) = turns.quotas
        assert (quota.project, quota.limit, quota.used) == ("a", {Dimension.GPU: 8000}, {})
    jobs = [a_job(n, 0, 10, 8, project="a" if n < 3 else "b") for n in (1, 2, 3)]
    outcome = play(Workload((a_node("n1"), a_node("n2")), tuple(jobs)), turns)
    assert starts(outcome) == {"job-1": 0, "job-2": 10, "job-3": 0}


def test_jobs_are_played_under_it(tmp_path: Path):
    """Both get a turn, and then the first project two by its weight; else they would take turns."""
    file = tmp_path / "mine.yaml"
    file.write_text("fair_share: {weights: [{project: a, weight: 100}]}", encoding="utf-8")
    jobs = [a_job(n, 0, 10, 8, project="a" if n < 4 else "b") for n in (1, 2, 3, 4, 5)]
    outcome = play(Workload((a_node(),), tuple(jobs)), policy_file.read(file))
    order = {"job-1": 0, "job-4": 10, "job-2": 20, "job-3": 30, "job-5": 40}
    assert starts(outcome) == order


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a policy is a mapping"),
        ("[1]", "a policy is a mapping"),
        ("{", "this is neither YAML nor JSON: while parsing"),
        (
            "fair_shares: {}",
            'default: Message type "windlass.resources.v1.SchedulingPolicy" has no',
        ),
        ("aging: 5", "default: Failed to parse aging field"),
        ("aging: {boost: -1}", "default: aging.boost: "),
        ("fair_share: {weights: [{project: a, weight: .nan}]}", "Couldn't parse NaN"),
        ("fair_share: {weights: [{project: a, weight: 0}]}", "fair_share.weights.weight: "),
        ("fair_share: {half_life: 1s}", "default: fair_share.half_life: "),
        ("queue.UPPER: {}", "queue.UPPER: policy_id: "),
        ("default: {}\nother: {}", "other: policy_id: "),
        ("default: 5", "default: "),
        ("quotas: 5", "quotas: a list of at most"),
        ("quotas: [5]", "quotas[0]: "),
        ("quotas: [{limit: {gpu_millis: 5}}]", "quotas[0]: project: a quota is of a project"),
        ("quotas: [{project: a}]", "quotas[0]: quota.limit: a quota needs a guarantee or a limit"),
        ("quotas: [{project: a, limit: {gpu_millis: -1}}]", "quotas[0]: limit.gpu_millis: "),
        ("quotas: [{project: a, limit: {gpu_millis: .nan}}]", "quotas[0]: "),
        ("quotas: [{project: a, user: b, guaranteed: {gpu_millis: 1}}]", "is for projects; a user"),
        (
            "quotas: [{project: a, limit: {gpu_millis: 5}}, {project: a, limit: {gpu_millis: 6}}]",
            "quotas[1]: there is another one of the same owner",
        ),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(TraceError) as caught:
        read(tmp_path, text)
    assert f"mine.yaml: {said}" in str(caught.value) or said in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, capsys):
    flags = ["--generate", "9", "--cluster", "1x8xH100", "--policy"]
    assert main([*flags, str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: No such file" in capsys.readouterr().err
    (tmp_path / "large.json").write_bytes(b" " * (1 << 20) + b"{}")
    assert main([*flags, str(tmp_path / "large.json")]) == 2
    assert "a policy of more than a MiB" in capsys.readouterr().err
    (tmp_path / "mine.yml").write_text(ONE, encoding="utf-8")
    assert main([*flags, str(tmp_path / "mine.yml")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["mine.yml"]
