"""What schemathesis is told of our API, and what it checks besides its own checks."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import schemathesis
from jsonschema import Draft202012Validator
from schemathesis import Case, CheckContext, GenerationMode, Response

from tests.support.contract_oracle import Oracle, Verdict
from tests.support.gateway import windlass_descriptors
from tests.support.openapi import validator

# INVALID_ARGUMENT of requests whose fields are good by themselves: what they refer to was never given
# out, or is not there; or they do not go together, some of them with the present.
_OF_THE_STATE = {
    "ADDRESS_NOT_ALLOWED",
    "ARRAY_INDICES_INVALID",
    "ARRAY_TOO_LARGE",
    "ARTIFACT_DIGEST_DIFFERS",
    "ARTIFACT_NAME_INVALID",
    "ARTIFACT_SIZE_DIFFERS",
    "ARTIFACT_TOO_LARGE",
    "BAD_COMMAND",
    "BAD_DEPENDENCIES",
    "BAD_PARAMETER",
    "BAD_PARAMETER_VALUE",
    "BAD_PLACEHOLDER",
    "BAD_RECURRENCE",
    "CONFLICTING_VALUES",
    "CURSOR_INVALID",
    "DEADLINE_TOO_EARLY",
    "DEFAULT_BEYOND_LIMIT",
    "DEFAULT_POOL",
    "DUPLICATE_CLASS",
    "DUPLICATE_PRIORITY",
    "DUPLICATE_WEIGHT",
    "ENDS_BEFORE_IT_BEGINS",
    "EXCEEDS_QUEUE_LIMIT",
    "EXCEEDS_QUOTA",
    "FIELD_NOT_CHANGEABLE",
    "FIELD_UNKNOWN",
    "FILTER_INVALID",
    "FILTER_WITHOUT_EFFECT",
    "GPU_PARTS_UNAVAILABLE",
    "GPU_SHARING_NOT_ALLOWED",
    "GPU_TYPE_OF_NO_GPU",
    "GREP_INVALID",
    "HTTPS_REQUIRED",
    "JOB_COMMAND_OR_SCRIPT",
    "LIMIT_BELOW_GUARANTEE",
    "LOG_POSITION_INVALID",
    "LOG_TIMES_INVALID",
    "MAINTENANCE_IS_FOR_NOBODY",
    "METADATA_KEY_REPEATED",
    "METRIC_UNKNOWN",
    "NAME_NOT_RESOLVED",
    "NODES_NOT_NAMED",
    "NOTHING_GUARANTEED",
    "NOTHING_RESERVED",
    "NOT_REMOTE",
    "NO_NODES",
    "NO_NODE_SELECTED",
    "OFFSET_BEHIND_END",
    "ONLY_GPUS_HAVE_TYPES",
    "ONLY_OF_PROJECTS",
    "ORDER_INVALID",
    "PAGE_TOKEN_INVALID",
    "PARAMETER_REQUIRED",
    "POOL_NOT_FOUND",
    "PRIORITY_TOO_HIGH",
    "PROJECT_NOT_FOUND",
    "REQUIREMENT_INVALID",
    "RESERVATION_IN_THE_PAST",
    "RESERVED_TWICE",
    "SAME_QUEUE",
    "SAYS_NOTHING",
    "SECRETS_TOO_LARGE",
    "SECRET_NOT_TEXT",
    "SELECTS_NOTHING",
    "SOURCE_DIGEST_DIFFERS",
    "SOURCE_FORMAT_UNKNOWN",
    "SOURCE_TOO_LARGE",
    "STEPS_ARE_CUSTOM",
    "TEMPLATE_JOB_INVALID",
    "TIMES_REVERSED",
    "TIME_TOO_EARLY",
    "TOO_LONG_OR_TOO_FAR",
    "TOO_MANY_BUCKETS",
    "TOO_MANY_NODES",
    "TOO_MANY_POINTS",
    "TOO_MANY_ROWS",
    "TOPOLOGY_UNAVAILABLE",
    "TOPOLOGY_WITHOUT_GPUS",
    "UNKNOWN_PARAMETER",
    "UNSATISFIABLE_RESOURCES",
    "UNUSED_PARAMETER",
    "URL_INVALID",
    "WEIGHT_OF_NOBODY",
}
_FAILED_PRECONDITION = 9
# Rules that a schema tells in words only.
_BEYOND_SCHEMAS = re.compile(
    r"(duration|timestamp|int64|uint64)\.\w+|string\.(min|max|len)_bytes|"
    r"command\.program|variables\.reserved|overcommit\.\w+|reservation\.\w+|topology\.\w+|"
    r"dependency\.\w+|simulated_job\.\w+|update_job_status(es)?\.\w+|"
    r"job_array\.\w+|resources\.\w+|selector\.\w+|dependencies\.\w+|job\.\w+|node_label_rule\.\w+|simulated_nodes\.\w+|"
    r"put_secret\.\w+|environment\.\w+|parameters\.\w+"
)

_oracle = Oracle(windlass_descriptors())
# Names of path parameters, and the values that lead somewhere.
_known: dict[str, list[str]] = json.loads(os.environ["SCHEMA_IDS"])


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Lead requests to what there is, and away from what would end the run.

    A followed log has no end, and other tests follow some. The key of the run must not be revoked.
    """
    path_parameters = case.path_parameters or {}
    if case.query and str(case.query.get("follow")).lower() in ("true", "['true']", "[true]"):
        case.query["follow"] = "false"
    if path_parameters.get("key_id") == os.environ["SCHEMA_KEY_ID"]:
        path_parameters["key_id"] = "another"
    if _is_positive(case):
        # A mask of made-up names is always refused; without one, all that is given is meant.
        if case.query and "update_mask" in case.query:
            del case.query["update_mask"]
        for name in set(_known) & set(path_parameters):
            # All of them in turn, the same in every run.
            known = _known.get(f"{name} in {case.operation.path}", _known[name])
            path_parameters[name] = known[len(str(path_parameters[name])) % len(known)]
            # A body that names another object than the path contradicts it.
            if isinstance(case.body, dict):
                case.body.pop(name, None)
        _lead_body(case)
        _lead_job(case)
        if isinstance(case.body, dict) and "action" in case.body:
            _lead_action(case.body)


# Fields of bodies that are seldom good by chance, or after which the other tests would find another world: projects that
# there are, selectors that select something, and queues that take no more jobs.
_LEFT_OUT = {
    "/v1/resources/clusters/{cluster_id}": ("remote",),
    "/v1/resources/pools/{pool_id}": ("allowed_projects", "selector"),
    "/v1/queues": ("allowed_projects", "defaults"),
    "/v1/queues/{queue_id}": (
        *("state", "allowed_projects", "allowed_users", "min_role", "defaults", "limits"),
    ),
}


def _lead_body(case: Case) -> None:
    """Make good bodies of good fields that do not go together by chance."""
    if not isinstance(case.body, dict):
        return
    if case.operation.path == "/v1/resources/reserve":
        # Of the fields at random, no end lies within a year, and few name one thing to reserve.
        soon = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 - the server's clock is real
        case.body = {name: case.body[name] for name in ("users", "reason") if name in case.body}
        case.body |= {"end_time": f"{soon:%Y-%m-%dT%H:%M:%SZ}", "resources": {"cpu_millis": "1"}}
    elif case.operation.path == "/v1/resources/allocate":
        constraints = case.body.get("constraints")
        if isinstance(constraints, dict) and isinstance(constraints.get("topology"), dict):
            constraints["topology"].pop("near_allocation_id", None)
    elif case.operation.path == "/v1/resources/nodes:drain":
        case.body.pop("node_ids", None)
        case.body["selector"] = {"all": True}
    for name in _LEFT_OUT.get(case.operation.path, ()):
        case.body.pop(name, None)


def _lead_job(case: Case) -> None:
    """Give a job a command: by chance it has both or neither, and brings along what there is not."""
    if not isinstance(case.body, dict) or case.operation.path != "/v1/jobs":
        return
    case.body.setdefault("command", ["true"])
    for name in ("script", "source", "python"):
        case.body.pop(name, None)


def _lead_action(body: dict[str, Any]) -> None:
    """Leave an action only what goes with it."""
    action = str(body.get("action")).upper()
    others = {
        "CANCEL": ("force",),
        "SUSPEND": ("mode",),
        "RETRY": ("overrides", "update_mask", "request_id", "from_scratch"),
    }
    for name in (name for kind, names in others.items() if kind != action for name in names):
        body.pop(name, None)


def _is_positive(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


@schemathesis.check
def the_contract_decides(ctx: CheckContext, response: Response, case: Case) -> None:
    """What the contract refuses is refused with 400, and what it accepts is not."""
    verdict = _verdict(response, case)
    if verdict is None:
        return
    if not verdict.accepted:
        assert response.status_code == 400, f"accepted, though {verdict.why}"
    elif response.status_code in (400, 413, 415):
        code, reason = _error(response)
        of_the_state = code == _FAILED_PRECONDITION or reason in _OF_THE_STATE
        assert of_the_state, f"refused as {reason}, though the contract accepts it"


@schemathesis.check
def the_page_says_what_the_contract_does(ctx: CheckContext, response: Response, case: Case) -> None:
    """Schemas take what is accepted, in the form that JSON is written in, and else refuse what they can."""
    verdict = _verdict(response, case)
    if verdict is None:
        return
    if not verdict.accepted and _is_positive(case):
        silent = [rule for rule in verdict.rules if _BEYOND_SCHEMAS.fullmatch(rule)]
        # A number in a string may have as many digits as its type can have, in a schema.
        assert silent or "out of range" in verdict.why, f"fits the schema, though {verdict.why}"
    if verdict.accepted and verdict.body is not None:
        errors = [error.message for error in _validator(case).iter_errors(verdict.body)]
        assert not errors, f"does not fit the schema: {errors}"


def _verdict(response: Response, case: Case) -> Verdict | None:
    """What the contract says of the request; None where it does not decide, or is not sure to."""
    request = response.request
    if request.method != case.operation.method.upper() or not _is_json(request):
        return None
    if request.body and not _takes_json(case):
        return None
    if response.status_code == 401 and "authorization" not in request.headers:
        return None
    parts = urlsplit(str(request.url))
    body = request.body or b""
    verdict = _oracle.judge(
        case.operation.definition.raw["x-grpc-method"],
        case.operation.path,
        parts.path,
        parts.query,
        body.encode() if isinstance(body, str) else body,
    )
    return None if verdict.unsure or verdict.why == "the path is another" else verdict


def _validator(case: Case) -> Draft202012Validator:
    """A validator for the bodies of the operation."""
    schema = case.operation.definition.raw["requestBody"]["content"]["application/json"]["schema"]
    return validator(case.operation.schema.raw_schema, schema)


def _takes_json(case: Case) -> bool:
    """Whether the body is a message; else it is a file, and may be anything."""
    body = case.operation.definition.raw.get("requestBody")
    return body is None or "application/json" in body["content"]


def _is_json(request: Any) -> bool:
    return not request.body or request.headers.get("content-type") == "application/json"


def _error(response: Response) -> tuple[int, str]:
    """The code of an error, and the reason of its ErrorInfo."""
    status = json.loads(response.content)
    infos = [each for each in status["details"] if each["@type"].endswith(".ErrorInfo")]
    return status["code"], infos[0]["reason"]
