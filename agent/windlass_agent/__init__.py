"""The agent of a node: holds the session with the server, measures the machine, runs the tasks."""

import os

# grpc reads this when it is first imported. With its fork support on, a fork beside uvloop aborts
# the process; tasks are started by a helper that never imports grpc, so nothing needs it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
