"""Traced: what is counted, and told."""

import itertools
import sys
import uuid
from typing import Any

import pytest

from nnlite.errors import Conflict, NotFound, UsageError
from nnlite.store import ABSENT
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Total, Traced

from .contract import OpenAgain, StoreContract, in_threads


class TestTraced(StoreContract):
    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name = uuid.uuid4().hex
        return lambda: Traced(MemoryStore(name))


def test_totals_and_what_is_told() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    ticks = itertools.count()
    store = Traced(MemoryStore(), lambda *event: told.append(event), clock=lambda: float(next(ticks)))
    store.put("a", (b"12", b"345"))
    store.put("b", b"6", if_version=ABSENT)
    with pytest.raises(Conflict):
        store.put("b", b"lost", if_version=ABSENT)
    assert store.get("a").data == b"12345"
    with pytest.raises(NotFound):
        store.get("c")
    store.get_many(["a", "b", "c"])
    store.delete("a")
    with pytest.raises(UsageError):
        store.get("NOT A KEY")
    assert store.totals == {
        "put": Total(num_requests=3, num_keys=3, num_bytes=6, seconds=3.0, num_conflicts=1),
        "get": Total(num_requests=3, num_keys=3, num_bytes=5, seconds=3.0, num_missing=1, num_errors=1),
        "get_many": Total(num_requests=1, num_keys=3, num_bytes=6, seconds=1.0, num_missing=1),
        "delete_many": Total(),
        "delete": Total(num_requests=1, num_keys=1, seconds=1.0),
    }
    assert [event for event, _ in told] == ["store"] * 8
    assert [values["error"] for _, values in told] == ["", "", "Conflict", "", "NotFound", "", "", "UsageError"]
    assert told[5][1] == {"verb": "get_many", "key": "a", "num_keys": 3, "num_bytes": 6, "seconds": 1.0, "error": ""}


def test_threads_are_added_up() -> None:
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # let them meet between reading a total and writing it
    store = Traced(MemoryStore())
    store.put("a", b"12345")
    try:
        in_threads(lambda _: [store.get("a") for _ in range(500)], 8)
    finally:
        sys.setswitchinterval(interval_s)
    assert store.totals["get"].num_requests == 4000
    assert store.totals["get"].num_bytes == 20000
