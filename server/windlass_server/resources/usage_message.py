"""Usage as the API shows it, and what asks for it."""

from collections.abc import Sequence

from windlass.resources.v1 import price_pb2, resources_service_pb2, usage_pb2
from windlass_server.errors import InvalidInput
from windlass_server.resources.decimals import BILLIONTHS, decimal, gib
from windlass_server.resources.ledger import Amounts, Ledger, Loss, Row, Used
from windlass_server.resources.usage import LABEL, UsageQuery
from windlass_server.timestamps import duration_from_proto, from_proto, to_proto

# A quarter less than what clients of gRPC take by default.
_MAX_BYTES = 3 << 20


def usage_query(
    request: resources_service_pb2.GetUsageRequest | resources_service_pb2.ExportUsageRequest,
) -> UsageQuery:
    """What a request asks for."""
    return UsageQuery(
        group_by=tuple(request.group_by),
        start=from_proto(request.start_time) if request.HasField("start_time") else None,
        end=from_proto(request.end_time) if request.HasField("end_time") else None,
        bucket=duration_from_proto(request.bucket) if request.HasField("bucket") else None,
        project=request.project,
        user=request.user,
        queue=request.queue,
        node_id=request.node_id,
        pool_id=request.pool_id,
        gpu_type=request.gpu_type,
        labels=tuple(_pair(one) for one in request.labels),
    )


def usage_message(ledger: Ledger) -> usage_pb2.Usage:
    """The message; InvalidInput when it is too large for one answer (`TOO_MANY_ROWS`)."""
    message = usage_pb2.Usage(
        group_by=ledger.group_by,
        start_time=to_proto(ledger.window.start),
        end_time=to_proto(ledger.window.end),
        rows=[_row(row, ledger.group_by) for row in ledger.rows()],
        total=_row(ledger.total(), ()),
        currency=ledger.prices.currency,
        unpriced=[
            usage_pb2.UnpricedResource(
                resource=price_pb2.Price.Resource.Name(resource), gpu_type=gpu_type
            )
            for resource, gpu_type in sorted(ledger.unpriced)
        ],
    )
    if message.ByteSize() > _MAX_BYTES:
        text = "the answer is too large; ask for less, for fewer groups, or for the file"
        raise InvalidInput(text, reason="TOO_MANY_ROWS")
    return message


def _row(row: Row, group_by: Sequence[str]) -> usage_pb2.UsageRow:
    message = usage_pb2.UsageRow(
        start_time=to_proto(row.start),
        end_time=to_proto(row.end),
        held=_amounts(row.held),
        wasted_by_failure=_amounts(row.wasted[Loss.FAILURE]),
        wasted_by_preemption=_amounts(row.wasted[Loss.PREEMPTION]),
        wasted_by_hold=_amounts(row.wasted[Loss.HOLD]),
        used=usage_pb2.MeasuredAmounts(**measured_amounts(row.used)),
    )
    for name, value in zip(group_by, row.group, strict=True):
        if name.startswith(LABEL):
            message.labels[name.removeprefix(LABEL)] = value
        else:
            setattr(message, name, value)
    return message


def measured_amounts(used: Used) -> dict[str, str]:
    """What was used, by the names of `MeasuredAmounts`."""
    return {
        "gpu_seconds": decimal(used.gpus, 6),
        "measured_gpu_seconds": decimal(used.gpus_known, 6),
        "energy_joules": decimal(used.energy, 3),
        "energy_measured_gpu_seconds": decimal(used.energy_known, 6),
        "cpu_core_seconds": decimal(used.cpu_millis, 6),
        "measured_cpu_core_seconds": decimal(used.cpu_known, 9),
        # In bytes times milliseconds.
        "memory_gib_seconds": gib(used.memory_kib * 1024, 3),
        "measured_memory_gib_seconds": gib(used.memory_known, 6),
    }


def _amounts(amounts: Amounts) -> usage_pb2.ResourceAmounts:
    return usage_pb2.ResourceAmounts(
        gpu_seconds=decimal(amounts.gpu_millis, 9),
        cpu_core_seconds=decimal(amounts.cpu_millis, 9),
        memory_gib_seconds=gib(amounts.memory_bytes, 6),
        cost=decimal(amounts.cost, BILLIONTHS),
    )


def _pair(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value
