"""What a cold start leaves out. A handler imports this module before any other.

- *Searches for garbage.* While an environment starts, Python keeps nearly every object that it makes. The threshold is
  above what a start makes. What invocations leave behind is still collected, but rarely.
- *Modules that nothing here calls.* The SDK and Powertools import them, and these functions never call them. Their
  place is taken by modules that load the real ones at the first call, or by ones that do nothing: the SDK's docstrings.
- *One sequence of random numbers for all.* Environments that start from one snapshot would wait the same random times
  before they retry a call. Names and keys do not come from this sequence.

`docs/concepts/benchmarks.md` says what each of these saves.
"""

import gc
import os
import random
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

gc.set_threshold(100_000)

LOADED_AT_THE_FIRST_CALL = (
    "aws_lambda_powertools.tracing",
    "aws_lambda_powertools.utilities.jmespath_utils",
    "botocore.monitoring",
    "botocore.retries.adaptive",
    "dateutil.parser",
    "dateutil.tz",
    "getpass",
    "gzip",
    "importlib.metadata",
    "jmespath",
    "tempfile",
    "urllib.request",
)
"""The SDK and Powertools import these modules, and use nothing of them but functions and classes, which they call.

A class of such a module must not be caught, inherited from or compared with: it stands there as a function. The first
call ends that for modules that are imported later: these get the real ones, of all in the list.
"""

WITHOUT_EFFECT = ("botocore.docs", "botocore.docs.docstring")
"""Modules that write the docstrings of a client's methods, which nobody reads in Lambda."""


class _CalledLater(ModuleType):
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # Python's own questions to a module
            raise AttributeError(name)
        module = self.__name__

        def call(*arguments: Any, **named: Any) -> Any:
            for listed in LOADED_AT_THE_FIRST_CALL:
                if isinstance(sys.modules.get(listed), _CalledLater):
                    del sys.modules[listed]
            return getattr(import_module(module), name)(*arguments, **named)

        return call


class _Nothing:
    """Stands for a function and for a class, also for one that others inherit from."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take any arguments, and do nothing."""


class _WithoutEffect(ModuleType):
    def __getattr__(self, name: str) -> type[_Nothing]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


def leave_out_modules() -> None:
    """Let the modules that are not needed stand in `sys.modules` without their code."""
    for name in LOADED_AT_THE_FIRST_CALL:
        sys.modules.setdefault(name, _CalledLater(name))
    for name in WITHOUT_EFFECT:
        sys.modules.setdefault(name, _WithoutEffect(name))
    botocore = import_module("botocore")
    sys.modules["botocore.docs"].__path__ = [f"{folder}/docs" for folder in botocore.__path__]  # its other modules load


# In Lambda alone: the engine and the tests share a process with libraries that need these modules.
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    leave_out_modules()

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # The runtime has this module. Source: Lambda Developer Guide, runtime hooks for SnapStart.
    import_module("snapshot_restore_py").register_after_restore(random.seed)
