"""The protocols by name. Another one registers itself: nothing else in the house knows which there are."""

from __future__ import annotations

from nnlite.errors import UsageError
from nnlite.protocol.averaging.protocol import Averaging
from nnlite.protocol.base import Protocol
from nnlite.protocol.downpour.protocol import Downpour
from nnlite.protocol.search.protocol import Search

REGISTERED: dict[str, Protocol] = {}


def register(protocol: type[Protocol]) -> type[Protocol]:
    """Make a protocol known to this process, as a decorator of its class. Raises ValueError for a name that is
    another's."""
    known = REGISTERED.setdefault(protocol.name, protocol())
    if type(known) is not protocol:
        raise ValueError(f"{protocol.name!r} is {type(known).__name__} already: give {protocol.__name__} another name")
    return protocol


def named(name: str) -> Protocol:
    """The protocol of that name. Raises UsageError for one that this process does not know."""
    if name not in REGISTERED:
        raise UsageError(f"no protocol {name!r}; there are {', '.join(names())}")
    return REGISTERED[name]


def names() -> tuple[str, ...]:
    """Those that a job may ask for."""
    return tuple(name for name, one in REGISTERED.items() if one.is_for_jobs)


def options() -> dict[str, tuple[str, ...]]:
    """Every option that only some protocols have -> the names of those protocols."""
    found: dict[str, tuple[str, ...]] = {}
    for name, one in REGISTERED.items():
        for option in one.option_names():
            found[option] = (*found.get(option, ()), name)
    return found


for _one in (Averaging, Downpour, Search):
    register(_one)
