"""What of a node is free. Pure."""


def free(has: int, held: int) -> int:
    """What is not held; 0 also when a node has less than its runs hold."""
    return max(has - held, 0)
