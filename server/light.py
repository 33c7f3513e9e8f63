"""Rasa without TensorFlow, where it only answers: less than half the memory, less than half the time to start.

Rasa imports all its classifiers to know their names, and with them TensorFlow, which none of this guide's uses to hear
a message (`nlu.reader`). Its names are given here to the classes that inherit from them; none is ever called. To train,
Rasa is started without this.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ABSENT = ("tensorflow", "tensorflow_addons", "tensorflow_hub", "keras")


class _Names(type):
    """Any attribute, item or decorator of a class that is not there."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent

    def __call__(cls, *given: Any, **named: Any) -> Any:
        if cls is not Absent:
            return super().__call__(*given, **named)
        return given[0] if len(given) == 1 and callable(given[0]) and not named else Absent

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:
        return cls


class Absent(metaclass=_Names):
    """Whatever a module that is not there would have held."""

    def __init_subclass__(cls, **named: Any) -> None:
        """Classes may inherit from it, with whatever arguments."""


class _Module(ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in ABSENT else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def install() -> None:
    """Let Rasa be imported without TensorFlow from now on in this process."""
    sys.meta_path.insert(0, _Finder())
