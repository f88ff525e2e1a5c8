"""A price as the API shows it, and what sets one."""

from windlass.resources.v1 import price_pb2
from windlass_server.resources.decimals import BILLIONTHS, billionths, decimal
from windlass_server.resources.prices import WantedPrice
from windlass_server.storage.tables import PriceRow
from windlass_server.timestamps import from_proto, to_proto


def price_message(row: PriceRow) -> price_pb2.Price:
    """The message."""
    return price_pb2.Price(
        price_id=row.price_id,
        resource=price_pb2.Price.Resource.Name(row.resource),
        gpu_type=row.gpu_type,
        amount=decimal(row.amount, BILLIONTHS),
        currency=row.currency,
        start_time=to_proto(row.start_at),
        user=row.user,
        create_time=to_proto(row.created_at),
    )


def wanted_price(price: price_pb2.Price) -> WantedPrice:
    """What a caller sets."""
    return WantedPrice(
        resource=price.resource,
        gpu_type=price.gpu_type,
        amount=billionths(price.amount),
        currency=price.currency,
        start=from_proto(price.start_time) if price.HasField("start_time") else None,
    )
