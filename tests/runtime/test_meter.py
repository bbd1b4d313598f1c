"""What an invocation costs: its seconds and its requests, at the rates of its run."""

from nnlite.protocol.effects import Bill
from nnlite.protocol.spec import Rates
from nnlite.runtime.meter import Meter
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced


def test_seconds_and_requests_are_billed_by_kind():
    now_s = iter([100.0, 103.0])
    store = Traced(MemoryStore())
    rates = Rates(worker_second_usd=1.0, invocation_usd=10.0, read_usd=100.0, write_usd=1000.0)
    meter = Meter(rates, store, before_s=0.5, clock=lambda: next(now_s))
    store.put("a", b"1")
    store.get("a")
    store.get_many(["a", "b"])
    store.delete("a")
    assert meter() == Bill(3.5, 10 + 3.5 + 3 * 100 + 1000)


def test_where_nobody_sends_a_bill_only_seconds_count():
    now_s = iter([1.0, 2.0])
    assert Meter(Rates(), Traced(MemoryStore()), clock=lambda: next(now_s))() == Bill(1.0, 0.0)
