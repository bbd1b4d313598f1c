"""Descriptions: frozen dataclasses of the network as plain JSON values, and back.

A network, its loss and its optimizer travel to a worker as data, never as code: a description names classes
that were registered by defining them, so reading one can build nothing else.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, TypeVar

from nnlite.errors import StructureError

T = TypeVar("T", bound="Described")
_registry: dict[str, type[Described]] = {}


class Described:
    """Base of what can be described. A subclass is a frozen dataclass whose fields are JSON values, tuples
    of them, or other `Described` objects; defining it registers its class name."""

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
        """This object as a JSON-compatible dict: its class name under "is", then its fields."""
        if not dataclasses.is_dataclass(self):
            raise StructureError(f"{type(self).__name__} must be a (frozen) dataclass to be described")
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"is": type(self).__name__, **fields}

    @classmethod
    def from_config(cls: type[T], config: Any) -> T:
        """Rebuild what `config()` described. Raises StructureError for anything that is not a `cls`."""
        made = _build(config)
        if not isinstance(made, cls):
            raise StructureError(f"expected the description of a {cls.__name__}, found {config!r:.80}")
        return made


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
        raise StructureError(f"unknown class {name!r} in a description; known here: {known}")
    try:
        return _registry[name](**{key: _build(v) for key, v in fields.items()})
    except TypeError as error:
        raise StructureError(f"the description of {name} does not fit: {error}") from error
