"""Descriptions: frozen dataclasses of a network and its training as plain JSON values, and back.

A network, its loss, its optimizer and its augmentation travel to a worker as data, never as code: a description names
classes that were registered by defining them, so reading one can build nothing else. What would come back as something
else than what was described is refused when it is described, before a run begins.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from nnlite.errors import NnliteError, StructureError, shown, words
from nnlite.numbers import PythonNumbers

T = TypeVar("T", bound="Described")
EXACT = 2**53  #: what JSON's readers all take as the whole number that it is
_registry: dict[str, type[Described]] = {}


class UnknownClass(StructureError):
    """A description of a class that is not defined here: one of a user's own, whose file was not imported."""

    name: str = ""


class Described(metaclass=PythonNumbers):
    """Base of what can be described. A subclass is a frozen dataclass whose fields are JSON values, tuples
    of them, or other `Described` objects; defining it registers its class name. NumPy's numbers become Python's."""

    refusal: ClassVar[type[NnliteError]] = StructureError
    builtin: ClassVar[bool] = False

    def __init_subclass__(cls, *, described: bool = True, **options: Any) -> None:
        """`described=False`: an internal class that no description may name."""
        super().__init_subclass__(**options)
        if not described:
            return
        cls.builtin = cls.__module__.startswith("nnlite.")
        known = _registry.get(cls.__name__)
        if known is not None and known.builtin and not cls.builtin:
            raise StructureError(
                f"{cls.__module__}.{cls.__name__} has the name of one of nnlite's own classes; choose another"
            )
        _registry[cls.__name__] = cls

    def config(self) -> dict[str, Any]:
        """This object as a JSON-compatible dict: its class name under "is", then its fields.

        Raises StructureError when what is built of that would be something else.
        """
        if not dataclasses.is_dataclass(self):
            raise StructureError(f"{type(self).__name__} must be a (frozen) dataclass to be described")
        _check_name(type(self))
        _check_fields(self)
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        check_types(type(self), vars(self))
        return {"is": type(self).__name__, **fields}

    @classmethod
    def from_config(cls: type[T], config: Any) -> T:
        """Rebuild what `config()` described. Raises StructureError for anything that is not a `cls`, UnknownClass for
        a class that is not defined here."""
        made = _build(config)
        if not isinstance(made, cls):
            raise StructureError(f"expected the description of a {cls.__name__}, found {config!r:.80}")
        return made


def _check_name(cls: type[Described]) -> None:
    """Raise StructureError when a description that names `cls` would build another class."""
    known = _registry.get(cls.__name__)
    if known is not None and (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__):
        return  # the very class, or the same file loaded once more
    other = f"it would become {known.__module__}.{known.__qualname__}" if known is not None else "none may name it"
    raise StructureError(f"{cls.__module__}.{cls.__qualname__} cannot be described, as {other}: give it another name")


def _check_fields(one: Described) -> None:
    """Raise StructureError when an object is more than its fields say: the rest would be lost on the way."""
    cls = type(one)
    hint = f"make {cls.__name__} a dataclass, @dataclass(frozen=True), and what it needs its fields"
    fields: Any = one
    try:
        made = cls(**{f.name: getattr(one, f.name) for f in dataclasses.fields(fields) if f.init})
    except TypeError as error:
        raise StructureError(f"{cls.__name__} cannot be described by its fields ({error}): {hint}") from None
    for name, value in vars(one).items():
        is_cached = isinstance(getattr(cls, name, None), cached_property)
        if not is_cached and (name not in vars(made) or not _same(value, vars(made)[name])):
            raise StructureError(f"{cls.__name__}.{name} would be lost in a description: {hint}")


def _same(one: Any, other: Any) -> bool:
    """Whether two attributes are equal; arrays too, by what they hold."""
    if hasattr(one, "tobytes") and hasattr(other, "tobytes"):
        return bool(one.tobytes() == other.tobytes())
    return one is other or bool(one == other)


def _plain(value: Any) -> Any:
    if isinstance(value, Described):
        return value.config()
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value


def _build(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_build(v) for v in value)
    if not isinstance(value, dict):
        return value
    fields = dict(value)
    name = fields.pop("is", None)
    if not isinstance(name, str) or name not in _registry:
        known = ", ".join(sorted(_registry))
        error = UnknownClass(f"unknown class {name!r:.80} in a description; known here: {known}")
        error.name = str(name)[:80]
        raise error
    made = {key: _build(v) for key, v in fields.items()}
    check_types(_registry[name], made)
    try:
        return _registry[name](**made)
    except TypeError as error:
        raise StructureError(f"the description of {name} does not fit: {words(error)}") from error


# ---- types of fields

_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "nothing"}


def check_types(cls: type, fields: dict[str, Any], refusal: type[NnliteError] = StructureError) -> None:
    """Raise `refusal` for a field of another type than its annotation, or default, says."""
    for name, hint in _hints(cls).items():
        if name in fields and fields[name] is not getattr(cls, name, ...) and not _fits(hint, fields[name]):
            raise refusal(f"{cls.__name__}.{name}: expected {_wanted(hint)}, found {shown(fields[name])}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The annotations of a class; none where a user's name what only a type checker sees."""
    try:
        return get_type_hints(cls)
    except (NameError, TypeError):
        return {}


def _fits(hint: Any, value: Any) -> bool:
    """Whether a value is what an annotation says. One that says nothing of JSON values takes any."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(one, value) for one in inner)
    if origin in (tuple, list, Sequence):
        if not isinstance(value, (tuple, list)):
            return False
        if origin is tuple and inner[-1:] != (Ellipsis,):
            return len(value) == len(inner) and all(map(_fits, inner, value))
        return all(_fits(inner[0], one) for one in value)
    if origin is Callable:
        return callable(value)
    if hint is float:
        return type(value) is float or _fits(int, value)
    if hint in _NAMES:
        return (
            type(value) is hint and (hint is not int or abs(value) <= EXACT) and (hint is not str or _is_whole(value))
        )
    return not (isinstance(hint, type) and issubclass(hint, Described)) or isinstance(value, hint)


def _is_whole(text: str) -> bool:
    """Whether a text can be written: no half of a character is in it."""
    return text.isascii() or text.encode(errors="ignore").decode() == text


def _wanted(hint: Any) -> str:
    """What an annotation says, for people."""
    origin, inner = get_origin(hint), [one for one in get_args(hint) if one is not Ellipsis]
    if origin in (Union, types.UnionType):
        return " or ".join(map(_wanted, inner))
    if origin in (tuple, list, Sequence):
        return f"a list ({', '.join(map(_wanted, inner))})"
    if origin is Callable:
        return "a function"
    return _NAMES.get(hint) or f"a description of {getattr(hint, '__name__', hint)}"
