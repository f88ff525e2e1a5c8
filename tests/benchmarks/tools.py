"""The load generators, which are no Python packages."""

import shutil


class MissingTool(Exception):
    """A program that a benchmark needs is not installed."""


def tool(name: str, package: str) -> str:
    """The path of a program. Raises MissingTool, which says how to get it."""
    path = shutil.which(name)
    if path is None:
        raise MissingTool(f"{name} is not installed; on Debian: apt-get install {package}")
    return path
