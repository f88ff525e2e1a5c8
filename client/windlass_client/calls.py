"""How one description of a call serves the blocking and the asyncio client.

A group of calls is written once, as methods that only build requests:

    class JobCalls(Group):
        @operation
        def get(self, job_id: str) -> Call[GetJobRequest, Job]:
            return Call(GET, GetJobRequest(job_id=job_id))

    class Jobs(JobCalls, SyncGroup): ...       # Jobs.get(job_id) -> Job
    class AsyncJobs(JobCalls, AsyncGroup): ... # AsyncJobs.get(job_id) -> Coroutine[..., Job]

`operation` and `listing` are descriptors: bound to a `SyncGroup` they send the call and block, bound
to an `AsyncGroup` they return what is awaited or iterated. Both are seen by mypy with the builder's
own parameters.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import grpc

from windlass_client.errors import InvalidArgument, WindlassError

# How protobuf begins what it says of a number.
_OUT_OF_RANGE = "Value out of range: "

P = ParamSpec("P")
BuiltT = TypeVar("BuiltT")
GroupT = TypeVar("GroupT", bound="Group")
StubT = TypeVar("StubT")
RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ItemT = TypeVar("ItemT")


class PageRequest(Protocol):
    """A request that asks for one page."""

    page_token: str


class Page(Protocol):
    """An answer that holds one page."""

    @property
    def next_page_token(self) -> str: ...


PageRequestT = TypeVar("PageRequestT", bound=PageRequest)
PageT = TypeVar("PageT", bound=Page)


@dataclass(frozen=True, eq=False)
class Unary(Generic[RequestT, ResponseT]):
    """A unary method of the contract.

    Attributes:
        bind: makes the callable on a channel; an `aio` channel yields an awaitable callable.
        idempotent: whether sending it twice is as good as once, so that it may be retried.
    """

    bind: Callable[[grpc.Channel], Callable[..., ResponseT]]
    idempotent: bool


def unary(
    stub: Callable[[grpc.Channel], StubT],
    pick: "Callable[[StubT], grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]]",
    *,
    idempotent: bool,
) -> Unary[RequestT, ResponseT]:
    """Name a method by its generated stub, so that its types are checked against the contract."""
    return Unary(lambda channel: pick(stub(channel)), idempotent)


@dataclass(frozen=True)
class Call(Generic[RequestT, ResponseT]):
    """A method and the request to send."""

    method: Unary[RequestT, ResponseT]
    request: RequestT


@dataclass(frozen=True)
class Pages(Generic[PageRequestT, PageT, ItemT]):
    """A list method, the request for its first page, and where a page has its items."""

    method: Unary[PageRequestT, PageT]
    request: PageRequestT
    items: Callable[[PageT], Sequence[ItemT]]


class SyncTransport(Protocol):
    """Sends calls and blocks."""

    def send(self, call: Call[RequestT, ResponseT]) -> ResponseT: ...


class AsyncTransport(Protocol):
    """Sends calls on the running event loop."""

    async def send(self, call: Call[RequestT, ResponseT]) -> ResponseT: ...


class Group:
    """Calls that belong together; `project` is what requests without one are sent with."""

    project: str


class SyncGroup(Group):
    """Calls that block."""

    def __init__(self, transport: SyncTransport, project: str) -> None:
        self.transport = transport
        self.project = project


class AsyncGroup(Group):
    """Calls that are awaited."""

    def __init__(self, transport: AsyncTransport, project: str) -> None:
        self.transport = transport
        self.project = project


def built(build: Callable[..., BuiltT], *args: Any, **kwargs: Any) -> BuiltT:
    """What `build` makes of a caller's values.

    Raises:
        InvalidArgument: one of them fits into no request: a number that is too large for its field,
            text that is not Unicode.
    """
    try:
        return build(*args, **kwargs)
    except WindlassError:
        raise
    except UnicodeEncodeError as error:
        message = f"{error.object!r} is not text that can be sent"
        raise InvalidArgument(message, reason="BAD_VALUE") from error
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(_words(str(error), kwargs), reason="BAD_VALUE") from error


def _words(text: str, values: Mapping[str, Any]) -> str:
    """What protobuf says of a number that no field holds, with whose it is where that can be told."""
    number = text.removeprefix(_OUT_OF_RANGE)
    if number == text:
        return text
    names = [name for name, value in values.items() if str(value) == number]
    return (
        f"{names[0] if len(names) == 1 else 'a number'} cannot be {number}: no request holds that"
    )


class operation(Generic[GroupT, P, RequestT, ResponseT]):  # noqa: N801 - used as a decorator
    """A method that sends one call and answers its response."""

    def __init__(self, build: Callable[Concatenate[GroupT, P], Call[RequestT, ResponseT]]) -> None:
        self.build: Callable[..., Call[RequestT, ResponseT]] = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]  # takes any object

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: SyncGroup, owner: type) -> Callable[P, ResponseT]: ...
    @overload
    def __get__(
        self, group: AsyncGroup, owner: type
    ) -> Callable[P, Coroutine[Any, Any, ResponseT]]: ...
    def __get__(self, group: Group | None, owner: type) -> Any:
        if group is None:
            return self
        build = self.build

        def blocking(*args: P.args, **kwargs: P.kwargs) -> ResponseT:
            assert isinstance(group, SyncGroup)
            return group.transport.send(built(build, group, *args, **kwargs))

        async def awaited(*args: P.args, **kwargs: P.kwargs) -> ResponseT:
            assert isinstance(group, AsyncGroup)
            return await group.transport.send(built(build, group, *args, **kwargs))

        bound = blocking if isinstance(group, SyncGroup) else awaited
        return functools.update_wrapper(bound, build)


class listing(Generic[GroupT, P, ItemT]):  # noqa: N801 - used as a decorator
    """A method that iterates over all items of a list, fetching pages as they are needed."""

    def __init__(self, build: Callable[Concatenate[GroupT, P], Pages[Any, Any, ItemT]]) -> None:
        self.build: Callable[..., Pages[Any, Any, ItemT]] = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]  # takes any object

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: SyncGroup, owner: type) -> Callable[P, Iterator[ItemT]]: ...
    @overload
    def __get__(self, group: AsyncGroup, owner: type) -> Callable[P, AsyncIterator[ItemT]]: ...
    def __get__(self, group: Group | None, owner: type) -> Any:
        if group is None:
            return self
        build = self.build

        def blocking(*args: P.args, **kwargs: P.kwargs) -> Iterator[ItemT]:
            assert isinstance(group, SyncGroup)
            return _iterate(group.transport, built(build, group, *args, **kwargs))

        def awaited(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[ItemT]:
            assert isinstance(group, AsyncGroup)
            return _iterate_async(group.transport, built(build, group, *args, **kwargs))

        bound = blocking if isinstance(group, SyncGroup) else awaited
        return functools.update_wrapper(bound, build)


def _iterate(transport: SyncTransport, pages: Pages[PageRequestT, PageT, ItemT]) -> Iterator[ItemT]:
    while True:
        page = transport.send(Call(pages.method, pages.request))
        yield from pages.items(page)
        if not page.next_page_token:
            return
        pages.request.page_token = page.next_page_token


async def _iterate_async(
    transport: AsyncTransport, pages: Pages[PageRequestT, PageT, ItemT]
) -> AsyncIterator[ItemT]:
    while True:
        page = await transport.send(Call(pages.method, pages.request))
        for item in pages.items(page):
            yield item
        if not page.next_page_token:
            return
        pages.request.page_token = page.next_page_token
