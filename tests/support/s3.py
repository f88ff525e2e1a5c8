"""A real S3 server on loopback: moto's, with a bucket."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "windlass-test"


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a server that has the bucket `BUCKET`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        with closing(_client(endpoint)) as client:
            client.create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        server.stop()


def keys(endpoint: str) -> list[str]:
    """The keys of all objects in the bucket."""
    with closing(_client(endpoint)) as client:
        found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [one["Key"] for one in found]


def s3_variables(endpoint: str) -> dict[str, str]:
    """The variables that say where S3 is and who asks."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def reach(endpoint: str, environment: pytest.MonkeyPatch) -> None:
    """Set these variables, and no others of the kind, for a test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        environment.delenv(name)
    for name, value in s3_variables(endpoint).items():
        environment.setenv(name, value)


def _client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
