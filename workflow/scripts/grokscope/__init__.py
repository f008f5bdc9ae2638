"""Grokscope: check what is claimed of grokking, with traces, negatives and chance levels.

The names of :mod:`grokscope.api` can be imported from here. They are looked up when they are asked
for: every stamp of code includes this file, and a training job must not wait for pandas.
"""

from importlib import import_module

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if not name.startswith("_"):
        api = import_module("grokscope.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'grokscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *import_module("grokscope.api").__all__])
