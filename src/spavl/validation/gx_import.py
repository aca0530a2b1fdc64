"""Great Expectations, imported without what no check of ours uses: a third of the time and 100 MB less.

Most of that import is not its own. scipy.stats and altair serve expectations that the catalogue does not have: they are put
off until one is used, which then finds the real module. SQLAlchemy and the clouds' clients belong to its optional extras: here
they count as not installed. Nothing within Great Expectations is changed, and once it is imported every other import of these
libraries is as ever.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PUT_OFF = ("altair", "scipy.stats")
EXTRAS = ("boto3", "botocore", "sqlalchemy")


def great_expectations() -> Any:
    """The module. Call it before importing anything below it; what is loaded already is used as it is."""
    if "great_expectations" not in sys.modules:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        with _without_unused(), _no_collection():
            import great_expectations  # noqa: F401
    return sys.modules["great_expectations"]


class PutOff(ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system asks for these
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _Unused(MetaPathFinder, Loader):
    """Answers first for the modules named above, to the thread that made it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if threading.get_ident() != self._thread:
            return None
        if name in EXTRAS:
            raise ModuleNotFoundError(f"{name} is an extra that no check uses", name=name)
        return ModuleSpec(name, self) if name in PUT_OFF else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return PutOff(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""


@contextlib.contextmanager
def _without_unused() -> Iterator[None]:
    finder = _Unused()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in PUT_OFF:
            if isinstance(sys.modules.get(name), PutOff):
                del sys.modules[name]  # the next to import it gets the real one
                _forget(name)


def _forget(name: str) -> None:
    """Of a submodule its package has kept the stand-in too."""
    package, _, child = name.rpartition(".")
    if isinstance(getattr(sys.modules.get(package), child, None), PutOff):
        delattr(sys.modules[package], child)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Looking through a growing heap for garbage, again and again, is a third of the import; then what is imported is no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
