"""The product's own routes against the list that people read, and the paths that are promised."""

import re

import pytest

from tests.support.gateway import PLANNED, ROOT, WINDLASS_SERVICES, windlass_descriptors
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder

GOLDEN = ROOT / "tests/golden/paths.txt"

# Every path that the product promises, below `/v1`.
PROMISED = """
POST /jobs
GET /jobs
GET /jobs/{job_id}
PATCH /jobs/{job_id}/status
GET /jobs/{job_id}/logs
GET /jobs/{job_id}/metrics
POST /jobs/{job_id}/artifacts
GET /jobs/{job_id}/events
GET /resources/pools
GET /resources/pools/{pool_id}
GET /resources/nodes
GET /resources/nodes/{node_id}
POST /resources/allocate
DELETE /resources/allocations/{allocation_id}
GET /resources/allocations
GET /resources/usage
POST /resources/reserve
PUT /resources/nodes/{node_id}/drain
PUT /resources/nodes/{node_id}/cordon
POST /experiments
GET /experiments/{experiment_id}
POST /experiments/{experiment_id}/runs
POST /experiments/{experiment_id}/tune
GET /experiments/{experiment_id}/runs
GET /experiments/{experiment_id}/models
POST /experiments/models/register
GET /experiments/models/search
GET /experiments/templates
POST /experiments/from-template
POST /deployments
GET /deployments/{deployment_id}
PATCH /deployments/{deployment_id}
POST /deployments/{deployment_id}/endpoints
PUT /deployments/{deployment_id}/autoscaling
PUT /deployments/{deployment_id}/traffic
GET /deployments/{deployment_id}/metrics
DELETE /deployments/{deployment_id}
POST /pipelines
GET /pipelines/{pipeline_id}
POST /pipelines/{pipeline_id}/runs
GET /pipelines/{pipeline_id}/runs
GET /pipelines/runs/{run_id}
POST /pipelines/runs/{run_id}/cancel
GET /pipelines/{pipeline_id}/lineage
GET /pipelines/templates
POST /pipelines/from-template
"""


@pytest.fixture(scope="module")
def table():
    return build_table(Transcoder(windlass_descriptors()), WINDLASS_SERVICES, PLANNED)


def test_the_golden_list_is_what_the_contract_says(table):
    wanted = "".join(f"{line}\n" for line in table.lines)
    assert GOLDEN.read_text() == wanted, "run `make golden`"


def test_every_promised_path_is_there_and_is_found(table):
    promised = [line.replace(" ", " /v1", 1) for line in PROMISED.split("\n") if line]
    assert len(promised) == 46
    listed = {line.split(" -> ")[0]: line.split(" -> ")[1] for line in table.lines}
    for line in promised:
        assert line in listed
        method, path = line.split(" ")
        values = re.findall(r"\{(\w+)\}", path)
        found = table.router.match(method, re.sub(r"\{(\w+)\}", r"\1", path))
        assert str(found.target.rpc) == listed[line].split(" ")[-1]
        assert found.values == values
