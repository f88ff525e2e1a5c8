"""Ends a call of a fake server with an error in the server's own words."""

from typing import Any

import grpc

from windlass_server.errors import WindlassError
from windlass_server.rpc.errors import to_status


async def abort(context: Any, error: WindlassError) -> None:
    """Never returns: grpc raises."""
    status = to_status(error, "")
    code = next(one for one in grpc.StatusCode if one.value[0] == status.code)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, status.message, details)
