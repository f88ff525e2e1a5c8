"""The fuzz targets: what reads what a client sends, each with seeds, words and a check.

A target is a module with

    SEEDS   inputs to begin with
    WORDS   what an input is likely to be made of
    check   takes any bytes; raises when an invariant is broken
    mutate  optional: changes an input in its own way, or leaves it to libFuzzer
"""

from types import ModuleType

from tests.fuzz import bodies, forms, headers, paths, requests, streams, templates

TARGETS: dict[str, ModuleType] = {
    "template": templates,
    "path": paths,
    "json": bodies,
    "stream": streams,
    "form": forms,
    "headers": headers,
    "request": requests,
}
