"""Gives runs the secrets that their jobs ask for, when they are about to start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.errors import WrongState
from windlass_server.jobs import rules
from windlass_server.jobs.secret_references import MAX_BYTES, named, wanted_versions
from windlass_server.resources.inventories import parsed
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import SecretVersionRow
from windlass_server.storage.transaction import Transaction

Opened = Callable[[SecretVersionRow], bytes]
"""The value of a version. Raises WrongState when it cannot be read."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run cannot be given its secrets, and so cannot start."""

    run_id: str
    cause: rules.Cause
    why: str


class RunSecrets:
    """Looks secrets up and opens them.

    Args:
        opened: opens a value.
    """

    def __init__(self, database: Database, opened: Opened) -> None:
        self._database = database
        self._opened = opened

    async def give(
        self, node_id: str, rows: Sequence[Any], directives: Sequence[agent_pb2.RunDirective]
    ) -> list[Refusal]:
        """Put the values of now into the directives of runs that ask for secrets; tell which cannot have them.

        Args:
            node_id: where they are about to start.
            rows: the runs, with `project` and `spec` of their jobs.
            directives: of the same runs; those of runs that cannot have their secrets are not to be sent.
        """

        def load(tx: Transaction) -> tuple[bool, list[dict[str, SecretVersionRow]]]:
            node = tx.nodes.get(node_id)
            takes = node is not None and parsed(node.inventory).takes_secrets
            return takes, [wanted_versions(tx, row.project, _asked(row)) for row in rows]

        takes, found = await self._database.read(load)
        refusals = []
        for row, directive, versions in zip(rows, directives, found, strict=True):
            if not takes:
                why = "the node's agent is too old to give tasks secrets: upgrade it"
                refusals.append(Refusal(row.run_id, rules.Cause.LAUNCH_FAILED, why))
            elif why := self._fill(directive, row, versions):
                refusals.append(Refusal(row.run_id, rules.Cause.SECRET_UNAVAILABLE, why))
        return refusals

    def _fill(
        self, directive: agent_pb2.RunDirective, row: Any, versions: dict[str, SecretVersionRow]
    ) -> str:
        """Put the values in; why that cannot be done, empty when it is."""
        asked = _asked(row)
        for given in directive.spec.secrets:
            version = versions.get(given.variable)
            if version is None:
                return f"{named(asked[given.variable])} is not there any more"
            if not (version.is_text or given.file):
                return f"{named(asked[given.variable])} has a NUL now, which no variable can hold"
            try:
                given.value = self._opened(version)
            except WrongState as error:
                return error.message
        size = sum(len(given.value) for given in directive.spec.secrets)
        return f"its secrets have {size} bytes together by now" if size > MAX_BYTES else ""


def _asked(row: Any) -> Any:
    return job_pb2.Job.FromString(row.spec).environment.secrets
