"""The GPUs of a node: the interface and its two implementations."""
