"""What the scheduler would do with a job, for people."""

from typing import TYPE_CHECKING

from windlass_client.cli.output import cell, moment, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from windlass.jobs.v1 import job_forecast_pb2, job_pb2

# Jobs that a line names; of more it says how many.
_NAMED = 8


def forecast_table(forecast: "job_forecast_pb2.Forecast") -> "Table":
    """A line for each thing that is known."""
    made = table("", "")
    made.show_header = False
    for heading, value in _facts(forecast):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def _facts(forecast: "job_forecast_pb2.Forecast") -> "Iterator[tuple[str, str]]":
    from windlass.jobs.v1 import job_forecast_pb2

    cost = forecast.cost
    yield "verdict", job_forecast_pb2.Forecast.Verdict.Name(forecast.verdict)
    yield "why", " ".join(filter(None, (forecast.reason, forecast.message)))
    for place in forecast.placements:
        gpus = f", on {', '.join(place.gpu_uuids)}" if place.gpu_uuids else ""
        yield "would start", f"on node {place.node_name}{gpus}"
    for victim in forecast.victims:
        yield (
            "would stop",
            f"{victim.job_id or 'a job of another project'} on node {victim.node_name}",
        )
    for rule in forecast.withheld:
        yield "stops nobody", _withheld(rule)
    yield "starts", _start(forecast)
    yield "served as", served_as(forecast)
    yield "jobs before it", str(forecast.jobs_ahead) if forecast.nodes else ""
    for each in forecast.constraints:
        of_field = f" ({each.field})" if each.field else ""
        empty = f", {each.nodes_when_empty} even when empty" if each.nodes_when_empty else ""
        text = f"{each.nodes_now} of {forecast.nodes} nodes{empty}: {each.constraint}{of_field}"
        yield "refused by", f"{text}: {each.message}" if each.message else text
    for change in forecast.changes:
        yield "would do", _change(change)
    if cost.per_hour:
        at_most = f", {cost.at_most} at most" if cost.at_most else ""
        yield "cost", f"{cost.per_hour} {cost.currency} an hour{at_most}"


def served_as(one: "job_pb2.Job | job_forecast_pb2.Forecast") -> str:
    """The priority by which a job that waits is served, where that is not its own, and why."""
    return f"{one.effective_priority}: {one.priority_message}" if one.priority_message else ""


def _withheld(one: "job_forecast_pb2.ForecastWithheld") -> str:
    """Why nobody is stopped, and who that spares."""
    jobs = sorted({victim.job_id for victim in one.victims if victim.job_id})
    foreign = any(not victim.job_id for victim in one.victims)
    names = [*jobs[:_NAMED], *(["of other projects"] if foreign else [])]
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    return f"{one.message} ({', '.join(names)}{more})"


def _start(forecast: "job_forecast_pb2.Forecast") -> str:
    if not forecast.HasField("start_time_p90"):
        unknown = forecast.start_unknown
        return f"not known when: {unknown}" if unknown else ""
    half, most = moment(forecast.start_time_p50), moment(forecast.start_time_p90)
    if half == most:
        return f"by {most}"
    return f"by {half} half of the time, by {most} nine times out of ten"


def _change(change: "job_forecast_pb2.ForecastChange") -> str:
    if not change.enough:
        return f"{change.field}: none instead of {change.asked}"
    instead = f" instead of {change.asked}" if change.asked else ""
    return f"{change.field}: {change.enough}{instead}"
