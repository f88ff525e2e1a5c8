"""`windlass clusters register` and `configure`."""

from pathlib import Path

import pytest

from windlass.resources.v1.cluster_pb2 import Cluster
from windlass.resources.v1.remote_cluster_pb2 import RemoteStatus


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "west.key"
    file.write_text("wlk_secret\n")
    return str(file)


def test_register_passes_every_option_and_prints_the_name(windlass, plane, key, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("PEM")
    done = windlass(
        "clusters", "register", "west", "https://west:1", "--api-key-file", key,
        "--ca-file", str(ca), "--server-name", "w", "--remote-project", "guests",
        "--spill-over-after", "90s", "--affinity-label", "site=west", "--affinity-gpu-type", "H100",
        "--weight", "7", "--max-jobs", "9", "--only-project", "vision", "--description", "d",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, "west\n"), done.output
    sent = plane.state.requests["CreateCluster"][0].cluster
    remote = sent.remote
    assert (sent.kind, sent.description) == (Cluster.REMOTE, "d")
    assert (remote.endpoint, remote.api_key, remote.ca_certificates) == (
        "https://west:1",
        "wlk_secret",
        "PEM",
    )
    assert (remote.server_name, remote.project) == ("w", "guests")
    assert remote.spill_over_after.seconds == 90
    assert dict(remote.affinity.labels) == {"site": "west"}
    assert list(remote.affinity.gpu_types) == ["H100"]
    assert (remote.weight, remote.max_jobs, list(remote.projects)) == (7, 9, ["vision"])


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        (["--pause"], ["remote.paused"]),
        (["--resume"], ["remote.paused"]),
        (["--weight", "5", "--max-jobs", "6"], ["remote.max_jobs", "remote.weight"]),
        (["--spill-over-after", "never"], ["remote.spill_over_after"]),
        (["--no-affinity"], ["remote.affinity"]),
        (["--remote-project", "p"], ["remote.project"]),
    ],
)
def test_configure_changes_only_what_is_named(windlass, plane, arguments, paths):
    plane.state.clusters["west"] = Cluster(cluster_id="west", kind=Cluster.REMOTE)
    done = windlass("clusters", "configure", "west", *arguments)
    assert done.exit_code == 0, done.output
    assert list(plane.state.requests["UpdateCluster"][0].update_mask.paths) == paths


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name what shall be different"),
        (["--api-key-file", "/no/such"], "cannot read /no/such"),
        (["--spill-over-after", "soon"], "'soon' is not a duration"),
        (["--affinity-label", "x"], "'x' is not KEY=VALUE"),
    ],
)
def test_configure_says_what_is_wrong(windlass, arguments, words):
    done = windlass("clusters", "configure", "west", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_get_shows_how_another_installation_is(windlass, plane):
    west = Cluster(cluster_id="west", kind=Cluster.REMOTE)
    west.remote.endpoint = "west:1"
    west.remote.spill_over_after.seconds = 60
    west.remote.affinity.labels["site"] = "west"
    west.remote_status.state = RemoteStatus.UNREACHABLE
    west.remote_status.message = "it does not answer"
    west.remote_status.job_count = 3
    plane.state.clusters["west"] = west
    shown = windlass("clusters", "get", "west").stdout
    for words in ("west:1", "UNREACHABLE: it does not answer", "at once: site=west", "jobs there"):
        assert words in shown
