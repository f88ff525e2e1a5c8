"""What a node brings about before it starts a job's command. Pure."""

from windlass.agents.v1 import preparation_pb2
from windlass.jobs.v1 import job_pb2


def is_prepared(spec: job_pb2.Job) -> bool:
    """Whether there is anything to do before a job's command starts."""
    return bool(spec.script) or spec.HasField("source") or spec.HasField("python")


def preparation_of(spec: job_pb2.Job) -> preparation_pb2.Preparation:
    """What its node is told of that, with the command."""
    made = preparation_pb2.Preparation(command=spec.command, script=spec.script)
    if spec.source.HasField("git"):
        git = spec.source.git
        made.git.repository, made.git.commit = git.repository, git.commit
    elif spec.source.source_id:
        made.archive.source_id = spec.source.source_id
    if spec.HasField("python"):
        made.python.version = spec.python.version
        made.python.requirements.extend(spec.python.requirements)
    return made
