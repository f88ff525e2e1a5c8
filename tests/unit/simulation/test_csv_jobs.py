"""Jobs and nodes as CSV, good and bad."""

import io
from pathlib import Path

import pytest

from tests.unit.simulation.timed import GIB, played
from windlass_server.simulation import clusters, csv_jobs, synthetic
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.workload import SECOND, TimedJob

HEADING = "submit_time,run_time,time_limit,gpus,gpu_type,cpu,memory,project,user,name,priority\n"
NODES = "name,gpus,gpu_type,cpu,memory,count\n"


def jobs(folder: Path, text: str) -> tuple[TimedJob, ...]:
    file = folder / "jobs.csv"
    file.write_text(text, encoding="utf-8")
    return csv_jobs.read(file)


def refused(folder: Path, text: str) -> list[str]:
    """The lines of what is said, without the folder."""
    with pytest.raises(TraceError) as caught:
        jobs(folder, text)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_jobs_are_read_by_the_time_of_their_submission(tmp_path: Path):
    text = HEADING + "60,1.5h,2h,8,H100,64,512GiB,vision,ann,train,10\n30,90,,,,,,,,,\n"
    second, first = jobs(tmp_path, text)[::-1]
    assert (first.submitted_at, first.run_time, first.takes) == (
        30 * SECOND,
        90 * SECOND,
        90 * SECOND,
    )
    assert first.demand.project == "default"
    assert (first.demand.cpu_millis, first.demand.memory_bytes) == (1000, GIB)
    assert (first.demand.gpu_count, first.demand.time_limit) == (0, None)
    asked = second.demand
    assert (asked.gpu_count, asked.gpu_type, asked.priority) == (8, "H100", 10)
    assert (asked.cpu_millis, asked.memory_bytes) == (64_000, 512 * GIB)
    assert (asked.project, asked.user, second.name) == ("vision", "ann", "train")
    assert (second.run_time, asked.time_limit) == (5400 * SECOND, 7200 * SECOND)


def test_two_columns_are_enough(tmp_path: Path):
    (job,) = jobs(tmp_path, "run_time,submit_time\n0.5,2026-03-01T12:00:00+01:00\n")
    assert (job.run_time, job.submitted_at) == (SECOND // 2, 1_772_362_800 * SECOND)


def test_when_a_job_really_started_may_be_said(tmp_path: Path):
    (known, unknown) = jobs(tmp_path, "submit_time,run_time,start_time\n5,1,7\n5,1,\n")
    assert (known.was_started_at, unknown.was_started_at) == (7 * SECOND, None)
    (said,) = refused(tmp_path, "submit_time,run_time,start_time\n5,1,4\n")
    assert said.endswith("start_time: the job started before it was submitted")


def test_several_types_may_do(tmp_path: Path):
    text = "submit_time,run_time,gpus,gpu_type\n0,1,1,B200|H100\n0,1,1,H100|\n"
    several, one = jobs(tmp_path, text)
    assert (several.demand.gpu_type, several.demand.gpu_types) == ("", ("B200", "H100"))
    assert (one.demand.gpu_type, one.demand.gpu_types) == ("H100", ())
    outcome = played("built-in", [several, one])
    assert [fate.node_ids for fate in outcome.fates] == [("n1",), ("n1",)]


def test_shares_are_thousandths_of_a_gpu(tmp_path: Path):
    text = "submit_time,run_time,gpus,gpu_share\n0,1,1,0.25\n0,1,1,1\n"
    assert [job.demand.gpu_millis for job in jobs(tmp_path, text)] == [250, 0]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("x,1,,,,,,,,,", "submit_time: 'x' is not a number from 0"),
        (",1,,,,,,,,,", "submit_time: a value is missing"),
        ("-1,1,,,,,,,,,", "submit_time: '-1' is neither seconds nor a time such as"),
        ("2026-13-01T00:00:00Z,1,,,,,,,,,", "submit_time: '2026-13-01T00:00:00Z' is neither"),
        ("2026-03-01T00:00:00,1,,,,,,,,,", "does not say its offset from UTC, such as Z"),
        ("1969-03-01T00:00:00Z,1,,,,,,,,,", "submit_time: '1969-03-01T00:00:00Z' is before 1970"),
        ("0,nan,,,,,,,,,", "run_time: 'nan' is not a number from 0"),
        ("0,-5,,,,,,,,,", "run_time: '-5' is not a number from 0"),
        ("0,1e3,,,,,,,,,", "run_time: '1e3' is not a number from 0"),
        ("0,5 weeks,,,,,,,,,", "run_time: '5 weeks' has the unit 'weeks'; units are s, m, h and d"),
        ("0,99999d,,,,,,,,,", "run_time: 99999d is more than a hundred years"),
        ("0,,,,,,,,,,", "run_time: a value is missing"),
        ("0,1,0,,,,,,,,", "time_limit: a limit of 0 leaves no time"),
        ("0,1,,1.5,,,,,,,", "gpus: 1.5 is not a whole number"),
        ("0,1,,2000,,,,,,,", "gpus: 2000 is more than 1024"),
        ("0,1,,,H100,,,,,,", "gpu_type: the job takes no GPU, and names H100"),
        ("0,1,,,,many,,,,,", "cpu: 'many' is not a number"),
        ("0,1,,,,4GiB,,,,,", "cpu: '4GiB' is not a number of cores, such as 4 or 0.5"),
        ("0,1,,,,,64,,,,", "memory: '64' has no unit; units are B, kB"),
        ("0,1,,,,,64GBit,,,,", "memory: '64GBit' has the unit 'GBit'"),
        ("0,1,,,,,9999999TiB,,,,", "memory: 9999999TiB is more than an EiB"),
        ("0,1,,,,,,,,,1001", "priority: '1001' is no whole number from -1000 to 1000"),
        ("0,1,,,,,,,,,high", "priority: 'high' is no whole number"),
        ("0,1,,,,,,,,,1.0", "priority: '1.0' is no whole number"),
        ("0,1,,,,,,a\x07b,,,", "project: text of at most 128 printable characters"),
        ("0,1", "there are not as many cells as columns"),
        ("0,1,,,,,,,,,,9", "there are not as many cells as columns"),
    ],
)
def test_a_line_that_cannot_be_is_refused_with_its_number(tmp_path: Path, cells: str, said: str):
    (line,) = refused(tmp_path, f"{HEADING}0,1,,,,,,,,,\n{cells}\n")
    assert line.startswith("jobs.csv, line 3: ")
    assert said in line


def test_all_wrong_lines_are_named_up_to_twenty(tmp_path: Path):
    lines = refused(tmp_path, HEADING + "0,bad,,,,,,,,,\n0,1,,,,,,,,,\n" * 3)
    assert [line.split(":")[0] for line in lines] == [
        f"jobs.csv, line {number}" for number in (2, 4, 6)
    ]
    lines = refused(tmp_path, HEADING + "0,bad,,,,,,,,,\n" * 33)
    assert len(lines) == 21
    assert lines[-1] == "and 13 more lines are wrong"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no column submit_time, run_time"),
        ("submit_time\n0\n", "there is no column run_time"),
        (
            "submit_time,run_time,priorty\n0,1,2\n",
            "unknown column 'priorty'; known are submit_time",
        ),
        ("submit_time,run_time,run_time\n0,1,2\n", "a column is there twice"),
        (HEADING, "there is no job, so there is nothing to simulate"),
        (
            "submit_time,run_time,gpus,gpu_share\n0,1,2,0.5\n",
            "a share is of one GPU, and the job takes 2",
        ),
        (
            "submit_time,run_time,gpus,gpu_share\n0,1,,0.5\n",
            "the job takes no GPU; write 1 in gpus",
        ),
        ("submit_time,run_time,gpus,gpu_share\n0,1,1,1.5\n", "1.5 of a GPU; it is 0.001 to 1"),
        ("submit_time,run_time,gpus,gpu_share\n0,1,1,nan\n", "nan of a GPU"),
        ("submit_time,run_time,gpus,gpu_share\n0,1,1,half\n", "'half' is not a number"),
        ("submit_time,run_time,gpus,gpu_share,nodes\n0,1,1,0.5,2\n", "the job takes 2 nodes"),
        ("submit_time,run_time,nodes\n0,1,0\n", "nodes: a job needs a node"),
        ("submit_time,run_time,nodes,min_nodes\n0,1,2,3\n", "min_nodes: 3 is not from 1 to the 2"),
        ("submit_time,run_time,nodes,min_nodes\n0,1,2,0\n", "min_nodes: 0 is not from 1"),
        ("submit_time,run_time,id\n0,1,a\n0,1,a\n", "line 3: id: line 2 has the same"),
        (
            "submit_time,run_time,after\n0,1,after_ok:x\n",
            "after: it waits for x, which there is not",
        ),
        (
            "submit_time,run_time,id,after\n0,1,a,after:a\n",
            "line 2: after: it waits for a, which does",
        ),
        (
            "submit_time,run_time,id,after\n5,1,a,after:b\n9,1,b,\n",
            "line 2: after: it waits for b, which does not come before it",
        ),
        ("submit_time,run_time,after\n0,1,x\n", "after: 'x' is not HOW:ID; HOW is after, after_ok"),
        ("submit_time,run_time,after\n0,1,soon:x\n", "after: 'soon:x' is not HOW:ID"),
        ("submit_time,run_time,after\n0,1,after:x;after:x\n", "after: x is waited for twice"),
        ("submit_time,run_time,start_after\n0,1,-5\n", "start_after: '-5' is neither seconds"),
        (
            "submit_time,run_time,result\n0,1,good\n",
            "result: 'good' is neither succeeded nor failed",
        ),
        ("submit_time,run_time,exclusive\n0,1,maybe\n", "exclusive: 'maybe' is neither yes nor no"),
        (
            "submit_time,run_time,gpus,gpu_share,exclusive\n0,1,1,0.5,yes\n",
            "exclusive: a job that has its node alone takes whole GPUs",
        ),
        ("submit_time,run_time,node_labels\n0,1,!a=b\n", "node_labels: '!a=b' is none of KEY=A,B"),
        ("submit_time,run_time,prefer_node_labels\n0,1,=b\n", "prefer_node_labels: '=b' is none"),
        ("submit_time,run_time,topology\n0,1,room\n", "topology: 'room' is none of rack, block"),
        (
            "submit_time,run_time,topology,prefer_topology\n0,1,rack,block\n",
            "prefer_topology: it is not narrower than topology",
        ),
        ("submit_time,run_time,pool\n0,1,a||b\n", "pool: 'a||b' has an empty name"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, text: str, said: str):
    assert said in "\n".join(refused(tmp_path, text))


def test_files_that_are_not_there_are_refused(tmp_path: Path):
    for read in (csv_jobs.read, clusters.read):
        with pytest.raises(TraceError, match="No such file"):
            read(tmp_path / "none.csv")


def test_what_is_written_is_read_again(tmp_path: Path):
    made = synthetic.made(clusters.made("2x8xH100"), 200, 1.2, 7)
    text = io.StringIO()
    csv_jobs.write(made, text)
    assert jobs(tmp_path, text.getvalue()) == made


def nodes(folder: Path, text: str):
    file = folder / "nodes.csv"
    file.write_text(NODES + text, encoding="utf-8")
    return clusters.read(file)


def test_nodes_are_read(tmp_path: Path):
    found = nodes(tmp_path, "big,8,H100,128,2TiB,2\nsmall,,,4,16GiB,\n")
    assert [node.node_id for node in found] == ["big-0", "big-1", "small"]
    assert [len(node.gpus) for node in found] == [8, 8, 0]
    assert (found[0].cpu_free, found[0].memory_free) == (128_000, 2 << 40)
    assert len({gpu.uuid for node in found for gpu in node.gpus}) == 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no node"),
        ("a,8,,4,1GiB,\n", "line 2: gpu_type: GPUs need a type"),
        ("a,,H100,4,1GiB,\n", "line 2: gpu_type: a type of no GPUs"),
        (",,,4,1GiB,\n", "line 2: name: a node needs a name"),
        ("a,,,4,1GiB,\na,,,4,1GiB,\n", "line 3: name: there are two nodes a"),
        ("a,,,,1GiB,\n", "line 2: cpu: a value is missing"),
        ("a,,,4,1,\n", "line 2: memory: '1' has no unit"),
        ("a,,,4,1GiB,200000\n", "line 2: count: 200000 is more than 100000"),
        ("a,,,4,1GiB,60000\nb,,,4,1GiB,60000\n", "line 3: count: that makes more than 100000"),
        ("a,,,4\n", "line 2: there are not as many cells as columns"),
    ],
)
def test_nodes_that_cannot_be_are_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(TraceError) as caught:
        nodes(tmp_path, text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("zone", "labels: 'zone' is not KEY=VALUE"),
        ("=eu", "labels: '=eu' is not KEY=VALUE"),
        ("zone=eu; zone=us", "labels: 'zone=us' is there twice"),
        ("; ".join(f"l{n}=x" for n in range(200)), "labels: that is too much for one cell"),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path: Path, labels: str, said: str):
    (tmp_path / "nodes.csv").write_text(f"name,cpu,memory,labels\na,1,1GiB,{labels}\n")
    with pytest.raises(TraceError) as caught:
        clusters.read(tmp_path / "nodes.csv")
    assert said in str(caught.value)


def test_a_cluster_is_said_in_a_word():
    found = clusters.made("2x8xH100, 1x4xL40S")
    assert [(node.node_id, len(node.gpus), node.gpus[0].gpu_type) for node in found] == [
        ("node-00000", 8, "H100"),
        ("node-00001", 8, "H100"),
        ("node-00002", 4, "L40S"),
    ]
    assert found[2].cpu_millis == 64_000


@pytest.mark.parametrize(
    "text", ["", "8xH100", "0x8xH100", "2x0xH100", "2x8x", "2x9999xH100", "999999x1xA"]
)
def test_a_word_that_is_no_cluster_is_refused(text: str):
    with pytest.raises(ValueError, match=r"is not NODESxGPUSxTYPE|is too much"):
        clusters.made(text)
