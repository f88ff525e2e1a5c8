"""What jobs used and said of themselves, as the contract has it."""

from windlass.jobs.v1 import job_metrics_pb2 as pb
from windlass.types.v1 import metrics_pb2
from windlass_server.jobs.metric_names import CUSTOM
from windlass_server.jobs.metric_series import Aggregate, PointSeries
from windlass_server.jobs.metrics import JobAnswer, Shape
from windlass_server.resources.metrics import series_messages, seven_digits
from windlass_server.telemetry.curves import NO_STEP
from windlass_server.telemetry.rollup import Floats
from windlass_server.timestamps import duration_to_proto, set_time, to_proto


def shape_of(request: pb.GetJobMetricsRequest) -> Shape:
    """How a request wants its points."""
    return Shape(
        tuple(dict.fromkeys(request.metrics)),
        Aggregate(request.aggregate),
        request.x_axis == pb.GetJobMetricsRequest.STEP,
    )


def metrics_message(found: JobAnswer) -> pb.GetJobMetricsResponse:
    """The answer to a request."""
    columns = (
        series
        for one in found.runs
        for series in series_messages(one.run.node_id, one.answer, one.run.run_id, one.run.rank)
    )
    return pb.GetJobMetricsResponse(
        start_time=to_proto(found.start),
        end_time=to_proto(found.end),
        resolution=duration_to_proto(found.resolution),
        series=[*columns, *map(_series, found.points)],
        omitted_runs=found.omitted,
        custom_names=found.custom_names,
        notes=found.notes,
    )


def _series(one: PointSeries) -> metrics_pb2.MetricSeries:
    made = metrics_pb2.MetricSeries(metric=one.metric, subject=one.subject)
    if one.run is not None:
        made.run_id, made.rank, made.node_id = one.run.run_id, one.run.rank, one.run.node_id
    # What nodes measure is kept to seven digits, what jobs say as they say it.
    exact = one.metric.startswith(CUSTOM)
    curve = one.curve
    floats = (one.means, curve.lows, curve.highs, curve.lasts)
    rows = zip(
        curve.times.tolist(),
        curve.steps.tolist(),
        curve.counts.tolist(),
        *(_numbers(column, exact) for column in floats),
        strict=True,
    )
    for time, step, count, mean, low, high, last in rows:
        point = made.points.add(mean=mean, min=low, max=high, last=last, count=count)
        set_time(point.time, time)
        if step != NO_STEP:
            point.step = step
    return made


def _numbers(values: Floats, exact: bool) -> list[float]:
    numbers: list[float] = values.tolist() if exact else seven_digits(values)
    return numbers
