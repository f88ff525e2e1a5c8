"""`windlass policies …`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass_client.cli.files import read_text
from windlass_client.cli.policy_tables import events_table, policies_table, policy_table
from windlass_client.cli.session import Session, command, group
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windlass.resources.v1 import scheduling_policy_pb2

    Policy = scheduling_policy_pb2.SchedulingPolicy

_PARTS = ("priority_classes", "aging", "fair_share", "backfill", "preemption", "packing")


def list_policies(session: Session) -> None:
    """List the policies that were set; without any, what is built in holds."""
    from windlass.resources.v1 import resources_service_pb2

    policies = list(session.client.policies.list(page_size=1000))
    page = resources_service_pb2.ListSchedulingPoliciesResponse(policies=policies)
    nothing = "" if policies else "no policies: everything is as it is built in"
    session.answer(page, lambda: policies_table(policies), nothing=nothing)


app = group(
    "policies",
    list_policies,
    help="How jobs are ordered and placed, by queue and pool.",
    examples=[
        "windlass policies",
        "windlass policies set default --preemption",
        "windlass policies show default",
    ],
)
command(app, "list", examples=["windlass policies list", "windlass policies list -o json"])(
    list_policies
)

PolicyArgument = Annotated[
    str,
    typer.Argument(metavar="POLICY", help="default, queue.NAME or pool.NAME.", show_default=False),
]


@command(
    app,
    "show",
    examples=[
        "windlass policies show default",
        "windlass policies show queue.nightly -o json > policy.json",
    ],
)
def show(session: Session, policy: PolicyArgument) -> None:
    """Show what a policy says; parts that it says nothing of are not shown."""
    found = session.client.policies.get(policy)
    session.answer(found, lambda: policy_table(found))


_SET_HELP = """Set parts of a policy; the scheduler goes by it at once.

For a job the policy of its queue comes first, then that of its pool if it can run in one alone, then
default, then what is built in. A part (such as fair share) is taken whole from the first that has it.

[bold]Examples:[/bold]

    windlass policies set default --weight vision=2 --weight vision/ada=3 --half-life 3d

    windlass policies set default --class batch=-100 --class normal=0 --class urgent=500

    windlass policies set queue.nightly --no-fair-share --aging 100 --aging-over 2d

    windlass policies set pool.h100 --preemption --backfill 20

    windlass policies set queue.research --file policy.yaml   all of it, and nothing else

    windlass policies set default --unset aging               as it is built in again

[bold]A file[/bold] is YAML or JSON, such as `windlass policies show default -o json` prints:

    fair_share: {half_life: 259200s, weights: [{project: vision, weight: 2}]}
    aging: {boost: 100, over: 172800s}"""


@command(app, "set", help=_SET_HELP)
def set_policy(
    session: Session,
    policy: PolicyArgument,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", help="The whole policy as YAML or JSON; - is the input."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for, for people.")] = None,
    fair_share: Annotated[
        bool | None,
        typer.Option("--fair-share/--no-fair-share", help="Projects and users take turns."),
    ] = None,
    half_life: Annotated[
        str | None, typer.Option(help="After which what was used counts half, such as 3d.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OWNER=WEIGHT",
            help="OWNER is PROJECT, PROJECT/USER or /USER (in every project); repeatable.",
        ),
    ] = None,
    priority_class: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME=PRIORITY",
            help="A band of priorities from there up; repeatable: all of them.",
        ),
    ] = None,
    aging: Annotated[
        int | None, typer.Option(help="How much waiting adds to a priority at most.")
    ] = None,
    aging_over: Annotated[
        str | None, typer.Option(help="After how long it has added that, such as 2d.")
    ] = None,
    backfill: Annotated[
        int | None, typer.Option(help="How many blocked jobs keep what they wait for.")
    ] = None,
    preemption: Annotated[
        bool | None,
        typer.Option("--preemption/--no-preemption", help="Running jobs make room for others."),
    ] = None,
    packing: Annotated[
        str | None,
        typer.Option(
            help="How nodes are chosen: holes-first, tight, fgd, best-fit, dot-product or spread."
        ),
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help=f"Say nothing of it: {', '.join(_PARTS)}; repeatable."),
    ] = None,
) -> None:
    """See `_SET_HELP`."""
    asked: dict[str, Any] = {
        "description": description,
        "fair_share": fair_share,
        "half_life": half_life,
        "weight": weight,
        "class": priority_class,
        "aging": aging,
        "aging_over": aging_over,
        "backfill": backfill,
        "preemption": preemption,
        "packing": packing,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if file is not None:
        if given or unset:
            message = "--file says all of the policy; give no other option"
            raise InvalidArgument(message, reason="BAD_OPTION")
        stored = session.client.policies.update(_from_file(file, policy), ["*"])
    else:
        stored = _change(session, policy, given, unset or ())
    session.answer(stored, lambda: policy_table(stored))


@command(app, "delete", examples=["windlass policies delete queue.nightly"])
def delete(session: Session, policy: PolicyArgument) -> None:
    """Remove a policy: what is built in, or behind it, holds again."""
    gone = session.client.policies.delete(policy)
    session.answer(gone, lambda: f"{gone.policy_id} deleted")


@command(app, "events", examples=["windlass policies events default"])
def events(session: Session, policy: PolicyArgument) -> None:
    """List who changed what of a policy, from what to what."""
    from windlass.resources.v1 import resources_service_pb2

    found = list(session.client.policies.events(policy, page_size=1000))
    page = resources_service_pb2.ListSchedulingPolicyEventsResponse(events=found)
    session.answer(page, lambda: events_table(found), nothing="" if found else "no events")


def _change(
    session: Session, policy_id: str, given: dict[str, Any], unset: "Sequence[str]"
) -> "Policy":
    """Change what options say; of a part that is there the rest stays as it is."""
    from windlass_client.errors import NotFound
    from windlass_client.policies import SchedulingPolicy

    for part in unset:
        if part not in _PARTS:
            message = f"{part!r} is not one of {', '.join(_PARTS)}"
            raise InvalidArgument(message, reason="BAD_PART")
    if not given and not unset:
        message = "say what to set, such as --half-life 3d or --file policy.yaml"
        raise InvalidArgument(message, reason="NOTHING_TO_SET")
    wanted = SchedulingPolicy(policy_id=policy_id)
    # What cannot be read is told before anything is sent.
    _apply(wanted, given)
    try:
        found = session.client.policies.get(policy_id)
    except NotFound:
        pass
    else:
        wanted.CopyFrom(found)
        _apply(wanted, given)
    for part in unset:
        wanted.ClearField(part)
    parts = {_OPTIONS[option][0] for option in given}
    return session.client.policies.update(wanted, sorted(parts | {*unset}))


def _apply(policy: "Policy", given: dict[str, Any]) -> None:
    for option, value in given.items():
        try:
            _OPTIONS[option][1](policy, value)
        except InvalidArgument:
            raise
        except ValueError:
            flag = f"--{option.replace('_', '-')}"
            shown = ", ".join(value) if isinstance(value, list) else value
            message = f"{flag} {shown}: no policy can hold a number as large as that"
            raise InvalidArgument(message, reason="BAD_VALUE") from None


def _set_description(policy: "Policy", text: str) -> None:
    policy.description = text


def _set_sharing(policy: "Policy", enabled: bool) -> None:
    policy.fair_share.disabled = not enabled


def _set_half_life(policy: "Policy", text: str) -> None:
    policy.fair_share.half_life.FromTimedelta(parse_duration(text))


def _set_weights(policy: "Policy", texts: "Sequence[str]") -> None:
    for text in texts:
        _weigh(policy, text)


def _set_classes(policy: "Policy", texts: "Sequence[str]") -> None:
    policy.priority_classes.ClearField("classes")
    for text in texts:
        name, number = _pair(text, "NAME=PRIORITY")
        policy.priority_classes.classes.add(name=name, priority=_whole(number, text))


def _set_boost(policy: "Policy", boost: int) -> None:
    policy.aging.boost = boost


def _set_aging_over(policy: "Policy", text: str) -> None:
    policy.aging.over.FromTimedelta(parse_duration(text))


def _set_depth(policy: "Policy", depth: int) -> None:
    policy.backfill.depth = depth


def _set_preemption(policy: "Policy", enabled: bool) -> None:
    policy.preemption.enabled = enabled


def _set_packing(policy: "Policy", name: str) -> None:
    policy.packing = name


# The part of a policy that an option is about, and how it is set there.
_OPTIONS: "dict[str, tuple[str, Callable[[Policy, Any], None]]]" = {
    "description": ("description", _set_description),
    "fair_share": ("fair_share", _set_sharing),
    "half_life": ("fair_share", _set_half_life),
    "weight": ("fair_share", _set_weights),
    "class": ("priority_classes", _set_classes),
    "aging": ("aging", _set_boost),
    "aging_over": ("aging", _set_aging_over),
    "backfill": ("backfill", _set_depth),
    "preemption": ("preemption", _set_preemption),
    "packing": ("packing", _set_packing),
}


def _weigh(policy: "Policy", text: str) -> None:
    """Give an owner a weight, in place of one that it has."""
    owner, number = _pair(text, "OWNER=WEIGHT")
    project, _, user = owner.partition("/")
    try:
        weight = float(number)
    except ValueError:
        message = f"{number!r} in {text!r} is no number"
        raise InvalidArgument(message, reason="BAD_WEIGHT") from None
    weights = policy.fair_share.weights
    for one in weights:
        if (one.project, one.user) == (project, user):
            one.weight = weight
            return
    weights.add(project=project, user=user, weight=weight)


def _pair(text: str, form: str) -> tuple[str, str]:
    name, sign, value = text.rpartition("=")
    if not sign or not name:
        message = f"{text!r} is not {form}"
        raise InvalidArgument(message, reason="BAD_OPTION")
    return name, value


def _whole(number: str, text: str) -> int:
    try:
        return int(number)
    except ValueError:
        message = f"{number!r} in {text!r} is no whole number"
        raise InvalidArgument(message, reason="BAD_PRIORITY") from None


def _from_file(name: str, policy_id: str) -> "Policy":
    from google.protobuf import json_format

    from windlass_client.policies import SchedulingPolicy

    values = _document(read_text(name), name)
    if values.setdefault("policy_id", policy_id) != policy_id:
        message = f"{name} is of {values['policy_id']!r}, not of {policy_id!r}"
        raise InvalidArgument(message, reason="OTHER_POLICY")
    try:
        return json_format.ParseDict(values, SchedulingPolicy())
    except json_format.ParseError as error:
        message = f"{name} is no policy: {error}"
        raise InvalidArgument(message, reason="BAD_FILE") from None


def _document(text: str, name: str) -> dict[str, Any]:
    """A mapping from YAML or JSON."""
    try:
        values = _parsed(text)
    except ValueError as error:
        message = f"{name} cannot be read: {' '.join(str(error).split())}"
        raise InvalidArgument(message, reason="BAD_FILE") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        message = f"{name} has no policy in it, such as `aging: {{boost: 100}}`"
        raise InvalidArgument(message, reason="BAD_FILE")
    return values


def _parsed(text: str) -> Any:
    """Raises ValueError."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None
