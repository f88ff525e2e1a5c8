"""Creates that a `request_id` makes idempotent: the same request gets the same answer."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from google.protobuf.message import Message

from windlass_server.errors import Conflict
from windlass_server.storage.tables import RequestRow
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True)
class Asked:
    """What a principal asks to be made.

    Attributes:
        user: the principal; its request ids are its own.
        method: which kind of create, such as `jobs.submit`.
        request_id: the caller's; empty when it gave none, and then nothing is remembered.
        request: what is asked for, with its defaults.
    """

    user: str
    method: str
    request_id: str
    request: Message

    @cached_property
    def fingerprint(self) -> bytes:
        """The same for the same request."""
        return hashlib.sha256(self.request.SerializeToString(deterministic=True)).digest()

    def earlier(self, tx: Transaction) -> str | None:
        """The id of what an earlier call of this request made, if there was one.

        Raises:
            Conflict: the request id was used for something else.
        """
        if not self.request_id:
            return None
        return self.answer(tx.events.earlier_answer(self.user, self.method, self.request_id))

    def answer(self, found: RequestRow | None) -> str | None:
        """The id of what an earlier call made, by what is remembered of it. Raises as `earlier`."""
        if found is None:
            return None
        if found.fingerprint != self.fingerprint:
            message = "this request_id was used for another request"
            raise Conflict(message, reason="REQUEST_ID_REUSED", earlier=found.object_id)
        return found.object_id

    def remember(self, tx: Transaction, object_id: str, at: int) -> None:
        """Note what this call made, in the transaction that made it."""
        if self.request_id:
            tx.events.remember_answer(
                self.user,
                self.method,
                self.request_id,
                fingerprint=self.fingerprint,
                object_id=object_id,
                at=at,
            )


def earlier_answers(tx: Transaction, asked: Sequence[Asked]) -> list[str | Conflict | None]:
    """What `Asked.earlier` says of each of these requests of one principal and kind, or would raise."""
    ids = [one.request_id for one in asked if one.request_id]
    if not ids:
        return [None] * len(asked)
    found = tx.events.earlier_answers(asked[0].user, asked[0].method, ids)
    answers: list[str | Conflict | None] = []
    for one in asked:
        try:
            answers.append(one.answer(found.get(one.request_id)))
        except Conflict as error:
            answers.append(error)
    return answers


def remember_all(tx: Transaction, made: Sequence[tuple[Asked, str, int]]) -> None:
    """Note what requests made: each with the id of that, and when (µs)."""
    tx.events.remember_answers(
        [
            {
                "user": one.user,
                "method": one.method,
                "request_id": one.request_id,
                "fingerprint": one.fingerprint,
                "object_id": object_id,
                "created_at": at,
            }
            for one, object_id, at in made
            if one.request_id
        ]
    )
