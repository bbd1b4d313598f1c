"""A deployed function: its name, and what the gateway says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nnlite.errors import UsageError
from nnlite.records import Count, Unsound, fit, parse, quoted


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
class FunctionEntry:
    """An entry of /system/functions, as far as it matters here; the names are the gateway's."""

    name: str
    replicas: Count = 1
    availableReplicas: Count | None = None  # noqa: N815
    envVars: dict[str, str] | None = None  # noqa: N815
    labels: dict[str, str] | None = None
    limits: dict[str, str] | None = None


@dataclass(frozen=True)
class Listing:
    """What a gateway says is deployed."""

    functions: tuple[FunctionEntry, ...]

    @classmethod
    def of(cls, text: str) -> Listing:
        """Read it. Raises Unsound for what no gateway says."""
        return fit(cls, {"functions": parse(text)}, partial=True, others=True)


@dataclass(frozen=True)
class DeployedWorker:
    """A function, as far as runs go by it."""

    name: str
    replicas: int
    available: int | None  #: replicas that listen, where the gateway says it
    room: int  #: calls that a replica takes at a time
    most: int | None  #: replicas that it may have
    memory: str  #: limit of a replica, as Kubernetes writes it; "" for none

    @classmethod
    def of(cls, entry: FunctionEntry) -> DeployedWorker:
        """From what a gateway says. Raises Unsound for a number that is none."""
        environment, labels, limits = entry.envVars or {}, entry.labels or {}, entry.limits or {}
        return cls(
            name=entry.name,
            replicas=entry.replicas,
            available=entry.availableReplicas,
            room=max(1, _count(entry, "max_inflight", environment) or 1),
            most=_count(entry, "com.openfaas.scale.max", labels),
            memory=limits.get("memory", ""),
        )


def _count(entry: FunctionEntry, name: str, texts: dict[str, str]) -> int | None:
    """A number from 0 in a text; None where there is none."""
    text = texts.get(name)
    if text and not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise Unsound(f"expected a whole number, found {quoted(text)}", f"{entry.name}.{name}")
    return int(text) if text else None
