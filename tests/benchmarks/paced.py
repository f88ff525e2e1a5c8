"""REST calls at a given rate: a call that comes late because the one before was slow counts as slow."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from urllib.parse import urlsplit

from tests.benchmarks.targets import Target

CONNECTIONS = 20

Request = tuple[str, str, str]
"""Method, path and body."""


@dataclass
class Answers:
    """What came back: milliseconds from when a call was due until it was answered."""

    took_ms: list[float] = field(default_factory=list)
    errors: int = 0


def paced(target: Target, requests: Sequence[Request], rate: float, seconds: float) -> Answers:
    """Make `rate` calls a second for so long, each of `requests` in its turn."""
    answers = Answers()
    begin = time.monotonic()
    workers = [
        threading.Thread(
            target=_work,
            args=(target, requests, begin + number / rate, CONNECTIONS / rate, seconds, answers),
        )
        for number in range(CONNECTIONS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers


def _work(
    target: Target,
    requests: Sequence[Request],
    first: float,
    every: float,
    seconds: float,
    answers: Answers,
) -> None:
    connection = HTTPConnection(urlsplit(target.http).netloc, timeout=30)
    due = first
    for request in cycle(requests):
        if due > first + seconds:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        answers.errors += not _answered(connection, target, request)
        answers.took_ms.append((time.monotonic() - due) * 1000)
        due += every
    connection.close()


def _answered(connection: HTTPConnection, target: Target, request: Request) -> bool:
    method, path, body = request
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
    except (HTTPException, OSError):
        connection.close()
        return False
    return answer.status == HTTPStatus.OK


def get_json(target: Target, path: str) -> dict[str, object]:
    """The answer to a GET."""
    return call_json(target, ("GET", path, ""))


def call_json(target: Target, request: Request) -> dict[str, object]:
    """The answer to a call."""
    answer: dict[str, object] = json.loads(call(target, request))
    return answer


def call(target: Target, request: Request) -> bytes:
    """The answer to a call, as it comes."""
    method, path, body = request
    connection = HTTPConnection(urlsplit(target.http).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse().read()
    connection.close()
    return answer
