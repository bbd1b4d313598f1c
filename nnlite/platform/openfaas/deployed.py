"""A deployed function: its name, and what the gateway says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nnlite.errors import UsageError


def split_name(function: str) -> tuple[str, str]:
    """name.namespace -> name, namespace; without one, "". Raises UsageError for what no function can be called."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})?", function, re.ASCII):
        raise UsageError(
            f"function {function!r:.80}: wanted letters a-z, digits and '-', like emnist-train, "
            "or like emnist-train.staging for one in another namespace"
        )
    name, _, namespace = function.partition(".")
    return name, namespace


@dataclass(frozen=True)
class Deployed:
    """A function, as far as runs go by it."""

    name: str
    replicas: int
    available: int | None  #: replicas that listen, where the gateway says it
    room: int  #: calls that a replica takes at a time
    most: int | None  #: replicas that it may have
    memory: str  #: limit of a replica, as Kubernetes writes it; "" for none

    @classmethod
    def of(cls, values: Any) -> Deployed:
        """From an entry of /system/functions. Raises KeyError, TypeError, ValueError for what is none."""
        environment, labels, limits = (_texts(_object(values).get(part)) for part in ("envVars", "labels", "limits"))
        most, available = labels.get("com.openfaas.scale.max"), values.get("availableReplicas")
        return cls(
            name=_text(values["name"]),
            replicas=_count(values.get("replicas", 1)),
            available=None if available is None else _count(available),
            room=max(1, _count(environment.get("max_inflight") or 1)),
            most=None if most is None else _count(most),
            memory=limits.get("memory", ""),
        )


def _texts(values: Any) -> dict[str, str]:
    """An object of texts; null and absent is {}."""
    return {} if values is None else {name: _text(value) for name, value in _object(values).items()}


def _object(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError(values)
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _count(value: Any) -> int:
    """A number from 0, also as a text."""
    found = int(value) if isinstance(value, str) else value
    if type(found) is not int or not 0 <= found < 2**31:
        raise ValueError(value)
    return found
