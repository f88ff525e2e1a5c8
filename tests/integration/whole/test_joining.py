"""Join tokens as operators ask for them, good and bad."""

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/resources/joinTokens"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_uses": -1}, "max_uses"),
        ({"max_uses": 100_001}, "max_uses"),
        ({"max_uses": "many"}, "max_uses"),
        ({"max_uses": 1.5}, "max_uses"),
        ({"lifetime": "0s"}, "lifetime"),
        ({"lifetime": "604801s"}, "lifetime"),
        ({"uses": 3}, "uses"),
    ],
)
async def test_a_join_token_that_cannot_be_is_refused_by_the_name_of_its_field(
    server: Cluster, body: dict[str, object], field: str
) -> None:
    async with server.rest() as rest:
        answer = await rest.post(PATH, json=body)
    assert answer.status_code == 400, answer.text
    (violation,) = (
        one for detail in answer.json()["details"] for one in detail.get("field_violations", ())
    )
    assert violation["field"] == field


@pytest.mark.parametrize(("body", "uses"), [({}, 1), ({"max_uses": 0}, 1), ({"max_uses": 40}, 40)])
async def test_a_join_token_says_for_how_many_nodes_it_is(
    server: Cluster, body: dict[str, object], uses: int
) -> None:
    async with server.rest() as rest:
        answer = (await rest.post(PATH, json=body)).json()
    assert answer["max_uses"] == uses
    assert answer["token"].startswith("wlj_")
