"""What resources cost."""

from datetime import datetime
from decimal import Decimal
from typing import cast

from windlass.resources.v1 import (
    price_pb2,
    resources_service_pb2,
    resources_service_pb2_grpc,
)
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    listing,
    operation,
    unary,
)
from windlass_client.errors import InvalidArgument

Price = price_pb2.Price

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListPrices, idempotent=True)
# Without a time of its own, a price that is sent twice is two prices that say the same.
SET = unary(_Stub, lambda stub: stub.SetPrice, idempotent=True)
DELETE = unary(_Stub, lambda stub: stub.DeletePrice, idempotent=False)


def parse_resource(name: str) -> "Price.Resource":
    """The resource of a name in any case. Raises InvalidArgument."""
    word = name.strip().upper()
    known = [resource for resource, number in Price.Resource.items() if number]
    if word not in known:
        message = f"{name!r} is not one of {', '.join(known).lower()}"
        raise InvalidArgument(message, reason="BAD_RESOURCE")
    return cast("Price.Resource", Price.Resource.Value(word))


class PriceCalls(Group):
    """Requests about prices."""

    @listing
    def list(
        self,
        *,
        resource: "Price.Resource | None" = None,
        gpu_type: str = "",
        page_size: int = 0,
    ) -> Pages[
        resources_service_pb2.ListPricesRequest,
        resources_service_pb2.ListPricesResponse,
        Price,
    ]:
        """Iterate over the prices, newest first."""
        request = resources_service_pb2.ListPricesRequest(
            resource=resource, gpu_type=gpu_type, page_size=page_size
        )
        return Pages(LIST, request, lambda page: page.prices)

    @operation
    def set(
        self,
        resource: "Price.Resource",
        amount: Decimal | str | int,
        *,
        currency: str,
        gpu_type: str = "",
        start: datetime | None = None,
    ) -> Call[resources_service_pb2.SetPriceRequest, Price]:
        """Say what one GPU, one core or one GiB costs for an hour, from some time on.

        Args:
            resource: of what.
            amount: a decimal number, such as "2.50".
            currency: such as "EUR"; the same for all prices.
            gpu_type: of a GPU; by default every type that has no price of its own.
            start: from when on, with a zone; from now on by default.

        Raises:
            FailedPrecondition: there are prices of another currency.
        """
        price = Price(
            resource=resource,
            amount=f"{amount:f}" if isinstance(amount, Decimal) else str(amount),
            currency=currency,
            gpu_type=gpu_type,
            start_time=start,
        )
        return Call(SET, resources_service_pb2.SetPriceRequest(price=price))

    @operation
    def delete(self, price_id: str) -> Call[resources_service_pb2.DeletePriceRequest, Price]:
        """Remove a price, as if it had never been set. Raises NotFound."""
        return Call(DELETE, resources_service_pb2.DeletePriceRequest(price_id=price_id))


class Prices(PriceCalls, SyncGroup):
    """Prices, blocking."""


class AsyncPrices(PriceCalls, AsyncGroup):
    """Prices for asyncio."""
