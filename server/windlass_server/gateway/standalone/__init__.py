"""`windlass gateway`: the gateway as a program of its own, in front of any gRPC server."""
