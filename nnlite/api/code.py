"""Code of one's own: the source text of classes that a script or a notebook defines, as a case file for workers.

A worker process is told which file to run, and compares its hash; a script is never run again, and nothing is taken
from a store. The file has the text of each class of a network or optimizer that is not nnlite's, and of what these use
of the module that defines them: imports, functions, classes, and constants that are plain values.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import hashlib
import inspect
import linecache
import math
import symtable
import sys
import textwrap
import types
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnlite import nn, output, places
from nnlite.case_file import CaseFile, adopt, is_known
from nnlite.described import Described, UnknownClass
from nnlite.errors import StoreError, UsageError, shown
from nnlite.protocol.records.spec import RunSpec
from nnlite.runtime import trainer

WHAT_ELSE = (
    "platform=nnlite.Local(processes=0) trains in this process; or put it into a case file, which workers are given"
)
HEADER = '"""Layers and other parts of a network, as they were defined when a run was begun: written by nnlite."""'


def own_file(described: object) -> CaseFile | None:
    """The file that defines the classes of one's own in a network, an optimizer or an augmentation, in this user's
    cache; None if all are nnlite's. Raises UsageError, in a line that names it, for what cannot be sent as text."""
    classes = dict.fromkeys(_classes(described))
    if not classes:
        return None
    text = Sources().text(list(classes))
    data = text.encode()
    digest = hashlib.sha256(data).hexdigest()
    path = folder() / f"own-{digest[:16]}.py"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            output.write(path, [data], "code of one's own", mode=0o600)
    except (OSError, StoreError) as error:
        raise UsageError(f"the code of {next(iter(classes)).__name__} cannot be written for workers: {error}") from None
    file = CaseFile(path.resolve(), data)
    adopt(file)
    return file


def parts(spec: RunSpec) -> list[Described | nn.Sequential]:
    """What a specification describes. Raises UnknownClass for classes that are not defined here."""
    augment = spec.data.augment
    built = trainer.build(replace(spec, case_file=None))  # whichever classes of these names there are
    return [*built, *([Described.from_config(augment)] if augment and "is" in augment else [])]


def need(spec: RunSpec) -> None:
    """See that this process has the classes of a run's own as it began with them. Raises UsageError."""
    of = spec.case_file
    if of is None or is_known(of.sha256):
        return
    with suppress(UnknownClass):
        found = own_file(parts(spec))  # the same classes have the same text
        if found is not None and found.sha256 == of.sha256:
            return
    path = folder() / of.name
    raise UsageError(
        f"run {spec.run} has layers or other parts of its own, which {of.name} defines (SHA-256 {of.sha256[:12]}), and "
        f"other ones, or none, are defined here: define them as they were, or name the file, "
        f"nnlite.attach({spec.run!r}, case={str(path if path.is_file() else of.name)!r})"
    )


def folder() -> Path:
    """Where these files are. Raises UsageError when this user has no cache."""
    return places.cache() / "code"


def _classes(one: Any) -> Iterator[type]:
    """The classes in something described that are not nnlite's, each as often as it is met."""
    if isinstance(one, Described):
        if not type(one).builtin:
            yield type(one)
        yield from _classes(list(vars(one).values()))
    elif hasattr(one, "layers") and hasattr(one, "loss"):  # a network
        yield from _classes([*one.layers, one.loss])
    elif isinstance(one, (tuple, list)):
        for part in one:
            yield from _classes(part)


class Sources:
    """Texts of definitions, each after those that it uses."""

    def __init__(self) -> None:
        self._imports: dict[str, None] = {}
        self._texts: dict[str, str] = {}  #: by name, in order
        self._owners: dict[str, Any] = {}  #: name -> what it is bound to
        self._begun: set[str] = set()
        self._futures = False

    def text(self, classes: list[type]) -> str:
        """A module that defines these classes."""
        for one in classes:
            self._define(one.__name__, one, one.__name__)
        future = ["from __future__ import annotations"] if self._futures else []
        return "\n".join([HEADER, "", *future, *sorted(self._imports), "", "", *self._texts.values()])

    def _define(self, name: str, one: Any, user: str) -> None:
        """Bind `name` to a class or function. user: the class or function that needs it."""
        if not self._is_new(name, one, user):
            return
        if one.__name__ == "<lambda>":
            raise _refusal(f"{name}, which {user} uses, is a lambda: write it as a def")
        source, space = _source(one), _namespace(one)
        if source is None:
            raise _refusal(f"the text of {one.__name__} is not known, as it was typed or evaluated")
        self._refuse_closures(one)
        self._futures |= space.get("annotations") is __future__.annotations
        for used in sorted(_globals_of(source) - {one.__name__}):
            if used in space:
                self._take(used, space[used], space, one.__name__)
            elif "<locals>" in one.__qualname__ and not hasattr(builtins, used):
                raise _refusal(
                    f"{used}, which {one.__name__} uses, is local to the function around it: define it outside"
                )
        again = "" if name == one.__name__ else f"{name} = {one.__name__}\n"
        self._texts[name] = f"{source}\n{again}\n"

    def _is_new(self, name: str, one: Any, user: str) -> bool:
        known = self._owners.setdefault(name, one)
        if known is not one and (_literal(one) is None or _literal(known) != _literal(one)):
            raise _refusal(f"{name}, which {user} uses, is also the name of another thing that is to be sent")
        if name in self._begun:  # also of what uses itself in a circle
            return False
        self._begun.add(name)
        return True

    def _take(self, name: str, value: Any, space: dict[str, Any], user: str) -> None:
        """Have what a name stands for in a module."""
        if name.startswith("__") and name.endswith("__"):
            return  # each module has its own
        if isinstance(value, types.ModuleType):
            self._import(f"import {value.__name__} as {name}", name, value, user)
        elif _is_defined_in(value, space):
            self._define(name, value, user)
        elif (line := _import_of(value, name)) is not None:
            self._import(line, name, value, user)
        elif isinstance(value, Described):
            for part in _classes(value):
                self._define(part.__name__, part, user)
            self._import("from nnlite.described import Described", "Described", Described, user)
            self._constant(name, value, f"Described.from_config({value.config()!r})", user)
        elif (literal := _literal(value)) is not None:
            self._constant(name, value, literal, user)
        else:
            raise _refusal(f"{name}, which {user} uses, is {_a(value)}, and no constant, function, class or module")

    def _import(self, line: str, name: str, value: Any, user: str) -> None:
        if self._is_new(name, value, user):
            self._imports[line] = None

    def _constant(self, name: str, value: Any, literal: str, user: str) -> None:
        if self._is_new(name, value, user):
            self._texts[name] = f"{name} = {literal}\n"

    def _refuse_closures(self, one: Any) -> None:
        for function in _functions(one):
            if free := sorted(set(function.__code__.co_freevars) - {"__class__"}):
                raise _refusal(
                    f"{one.__name__} uses {', '.join(free)} of the function that it is defined in: make it a field, an "
                    "argument, or a constant outside"
                )


def _refusal(what: str) -> UsageError:
    return UsageError(f"code for worker processes: {what}; {WHAT_ELSE}")


def _a(value: Any) -> str:
    return f"a value of type {type(value).__name__} ({shown(value):.60})"


# ---- finding


def _namespace(one: Any) -> dict[str, Any]:
    """The names of the module that defines a class or function, as they are bound now."""
    for function in _functions(one):
        return dict(function.__globals__)
    module = sys.modules.get(one.__module__)
    return dict(vars(module)) if module is not None else {}


def _is_defined_in(value: Any, space: dict[str, Any]) -> bool:
    """Whether it is a class or function of the same module."""
    is_code = isinstance(value, (type, types.FunctionType))
    return is_code and getattr(value, "__module__", None) == space.get("__name__")


def _functions(one: Any) -> Iterator[types.FunctionType]:
    """A function, or those in the body of a class: not what a decorator made of no text."""
    if isinstance(one, types.FunctionType):
        inner = inspect.unwrap(one)
        if isinstance(inner, types.FunctionType):
            yield inner
        return
    for given in vars(one).values():
        value = getattr(given, "__func__", getattr(given, "fget", getattr(given, "func", given)))
        is_its = isinstance(value, types.FunctionType) and value.__globals__.get("__name__") == one.__module__
        if is_its and linecache.getlines(value.__code__.co_filename, value.__globals__):
            yield value


def _source(one: Any) -> str | None:
    """The text that defines a class or function, with its decorators; None if there is none."""
    kinds = (ast.ClassDef,) if isinstance(one, type) else (ast.FunctionDef,)
    for lines, near in _texts(one):
        try:
            tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError):
            continue
        found = [n for n in ast.walk(tree) if isinstance(n, kinds) and n.name == one.__name__]
        found = [n for n in found if near is None or _first(n) <= near <= (n.end_lineno or n.lineno)]
        if found:
            return textwrap.dedent("".join(lines[_first(found[-1]) - 1 : found[-1].end_lineno])).rstrip() + "\n"
    return None


def _first(node: Any) -> int:
    first: int = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return first


def _texts(one: Any) -> Iterator[tuple[list[str], int | None]]:
    """The texts that may define it, best first, each with a line inside of it where that is known."""
    for function in _functions(one):
        yield linecache.getlines(function.__code__.co_filename), function.__code__.co_firstlineno
    module = sys.modules.get(one.__module__)
    if (name := getattr(module, "__file__", None)) is not None:
        yield linecache.getlines(name), None
    elif one.__module__ == "__main__":  # a class without methods, in a cell: the newest of them that defines it
        for cell in reversed([name for name in list(linecache.cache) if not Path(name).exists()]):
            yield linecache.getlines(cell), None


def _globals_of(source: str) -> set[str]:
    """The names that a text takes from the module around it."""
    found: set[str] = set()

    def visit(table: symtable.SymbolTable, is_top: bool) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or (is_top and not symbol.is_assigned())):
                found.add(symbol.get_name())
        for child in table.get_children():
            visit(child, False)

    visit(symtable.symtable(source, "own", "exec"), True)
    return found


def _import_of(value: Any, name: str) -> str | None:
    """The line that imports a value from the module which has it, if it is no module of somebody's script."""
    for module in (getattr(value, "__module__", None), "numpy", "typing"):
        for own in (getattr(value, key, None) for key in ("__qualname__", "__name__", "_name")):
            there = sys.modules.get(module) if isinstance(module, str) and module != "__main__" else None
            if isinstance(own, str) and own.isidentifier() and there and getattr(there, own, None) is value:
                return f"from {module} import {own}" + ("" if own == name else f" as {name}")
    return None


def _literal(value: Any) -> str | None:
    """A plain value as Python writes it; None for anything else, and for what cannot be written."""
    if type(value) in (bool, int, str, bytes, type(None)):
        return repr(value)
    if type(value) is float:
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    if type(value) in (tuple, list, set, dict):
        flat = [one for pair in value.items() for one in pair] if type(value) is dict else list(value)
        texts = [_literal(one) for one in flat]
        return None if None in texts else _together(type(value), [str(text) for text in texts])
    return None


def _together(kind: type, texts: list[str]) -> str:
    if kind is dict:
        return "{" + ", ".join(f"{a}: {b}" for a, b in zip(texts[::2], texts[1::2], strict=True)) + "}"
    if kind is set:
        return "{" + ", ".join(sorted(texts)) + "}" if texts else "set()"
    comma = "," if kind is tuple and len(texts) == 1 else ""
    return f"[{', '.join(texts)}]" if kind is list else f"({', '.join(texts)}{comma})"
