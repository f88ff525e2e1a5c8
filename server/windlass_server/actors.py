"""Who does what: the names of actors in events. A slash is in no user's name, so none can pose as one."""

SERVER = "system/server"
SCHEDULER = "system/scheduler"
NODES = "system/nodes"
DRAINS = "system/drains"
LEASES = "system/leases"
DEPENDENCIES = "system/dependencies"
DEADLINES = "system/deadlines"
ARRAYS = "system/arrays"
FEDERATION = "system/federation"
HEALTH = "system/health"
RESERVATIONS = "system/reservations"
WEBHOOKS = "system/webhooks"


def is_system(actor: str) -> bool:
    """Whether it is the server itself, or a node, and no user."""
    return "/" in actor


def node(node_id: str) -> str:
    """The name of a node's agent."""
    return f"node/{node_id}"


def cluster(cluster_id: str) -> str:
    """The name of another installation that takes jobs."""
    return f"cluster/{cluster_id}"
