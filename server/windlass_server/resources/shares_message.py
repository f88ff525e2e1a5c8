"""How projects and users stand to each other, as the API shows it."""

from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.resources.shares import SharesView
from windlass_server.scheduler.fair_share import GPU
from windlass_server.scheduler.standing import Standing
from windlass_server.timestamps import duration_to_proto

MOST_SHARES = 5_000
"""Projects and users of one answer."""

_pb = scheduling_policy_pb2


def shares_message(view: SharesView) -> _pb.Shares:
    """How projects and users stand to each other."""
    found = view.standings.all
    return _pb.Shares(
        enabled=view.rules.enabled,
        half_life=duration_to_proto(view.rules.half_life),
        shares=map(_share_message, found[:MOST_SHARES]),
        omitted=max(0, len(found) - MOST_SHARES),
        jain_index=view.standings.evenness,
    )


def _share_message(one: Standing) -> _pb.Share:
    return _pb.Share(
        project=one.project,
        user=one.user,
        weight=one.weight,
        lately_gpus=one.lately / GPU,
        held_gpus=one.now / GPU,
        share=one.share,
        entitled_share=one.entitled,
        rank=one.rank,
    )
