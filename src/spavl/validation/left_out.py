"""Imports without what a library loads and we never use. Nothing within the library is changed.

An optional extra of it counts as not installed. A module that it needs, but only for what is not called here, is put off: it is
imported when something of it is used. Only the thread that imports sees this, and only meanwhile; what is loaded already is
used as it is.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def left_out(*, extras: Collection[str] = (), put_off: Collection[str] = ()) -> Iterator[None]:
    """What is imported meanwhile finds no module of `extras` and a stand-in for each of `put_off` (all named in full)."""
    finder = _Finder(extras, put_off)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in put_off:
            _forget(name)  # the next to import it gets the real one


class PutOff(ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system asks for these
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _Finder(MetaPathFinder, Loader):
    """Answers first, to the thread that made it."""

    def __init__(self, extras: Collection[str], put_off: Collection[str]) -> None:
        self._extras, self._put_off = extras, put_off
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if threading.get_ident() != self._thread:
            return None
        if name in self._extras:
            raise ModuleNotFoundError(f"{name} is an extra that is not used here", name=name)
        return ModuleSpec(name, self) if name in self._put_off else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return PutOff(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""


def _forget(name: str) -> None:
    """Of a submodule its package has kept the stand-in too."""
    if isinstance(sys.modules.get(name), PutOff):
        del sys.modules[name]
    package, _, child = name.rpartition(".")
    if isinstance(getattr(sys.modules.get(package), child, None), PutOff):
        delattr(sys.modules[package], child)
