"""Forecasts from the planner's words to messages."""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from windlass.jobs.v1 import job_forecast_pb2 as pb
from windlass_server.jobs.forecasts import Cost, Forecast, Victim
from windlass_server.jobs.states import Status
from windlass_server.resources.decimals import BILLIONTHS, decimal
from windlass_server.scheduler.eta import Eta
from windlass_server.scheduler.filters import path_of
from windlass_server.scheduler.outlook import Outlook
from windlass_server.timestamps import to_proto


def forecast_message(forecast: Forecast) -> pb.Forecast:
    """What would become of a job."""
    job, found = forecast.job, forecast.outlook
    message = pb.Forecast(time=to_proto(forecast.at))
    if found is not None:
        _fill(message, found, forecast.node_names)
    else:
        waits = job.status == Status.QUEUED
        message.verdict = pb.Forecast.WAITS if waits else pb.Forecast.NOT_WAITING
        message.reason, message.message = job.status_reason, job.status_message
    message.victims.extend(_victims(forecast.victims, forecast.node_names))
    if found is not None:
        for one, spared in zip(found.withheld, forecast.spared, strict=True):
            message.withheld.add(
                rule=cast("pb.ForecastWithheld.Rule", int(one.rule)),
                victims=_victims(spared, forecast.node_names),
                until=None if one.until is None else to_proto(one.until),
                message=one.message,
            )
    if forecast.priority is not None:
        message.effective_priority = forecast.priority.priority
        message.priority_message = forecast.priority.message
    if forecast.cost is not None:
        message.cost.CopyFrom(_cost(forecast.cost))
    return message


def _victims(
    victims: Iterable[Victim], node_names: Mapping[str, str]
) -> Iterator[pb.ForecastVictim]:
    for victim in victims:
        yield pb.ForecastVictim(
            job_id=victim.job_id,
            node_id=victim.node_id,
            node_name=node_names.get(victim.node_id, ""),
        )


def _fill(message: pb.Forecast, found: Outlook, node_names: Mapping[str, str]) -> None:
    message.verdict = cast("pb.Forecast.Verdict", int(found.verdict))
    message.reason, message.message = found.reason, found.message
    message.jobs_ahead, message.nodes = found.jobs_ahead, found.nodes
    if found.placement is not None:
        for place in found.placement.places:
            message.placements.add(
                node_id=place.node_id,
                node_name=node_names[place.node_id],
                gpu_uuids=place.gpu_uuids,
            )
    for each in found.constraints:
        message.constraints.add(
            constraint=each.refusal,
            field=path_of(each.dimension) if each.dimension else "",
            nodes_when_empty=each.empty,
            nodes_now=each.now,
            message=each.message,
        )
    if found.eta is not None:
        _tell_when(message, found.eta)
    for change in found.changes:
        message.changes.add(field=change.field, asked=change.asked, enough=change.enough)


def _tell_when(message: pb.Forecast, eta: Eta) -> None:
    message.start_unknown = eta.unknown
    if eta.p50 is not None and eta.p90 is not None:
        message.start_time_p50.CopyFrom(to_proto(eta.p50))
        message.start_time_p90.CopyFrom(to_proto(eta.p90))


def _cost(cost: Cost) -> pb.ForecastCost:
    return pb.ForecastCost(
        currency=cost.currency,
        per_hour=decimal(cost.per_hour, BILLIONTHS),
        at_most="" if cost.at_most is None else decimal(cost.at_most, BILLIONTHS),
    )
