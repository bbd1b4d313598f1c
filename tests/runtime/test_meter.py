"""What an invocation costs: its seconds and its requests, at the rates of its run."""

from dataclasses import replace

from nnlite.protocol.effects import Bill
from nnlite.protocol.spec import Rates
from nnlite.runtime import runs, workers
from nnlite.runtime.meter import Meter
from nnlite.store import open_store
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced
from tests.runtime import small


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


class InS3(MemoryStore):
    url = "s3://elsewhere/data"


def test_requests_to_data_and_checkpoint_stores_are_billed_where_they_are_in_s3():
    store, data, near = Traced(MemoryStore()), Traced(InS3()), Traced(MemoryStore())
    rates = Rates(apart_read_usd=100.0, apart_write_usd=1000.0)
    meter = Meter(rates, store, clock=lambda: 0.0, apart=(data, near))
    for one in (store, data, near):
        one.put("a", b"1")
        one.get("a")
    assert meter() == Bill(0.0, 1100.0)


def test_a_worker_meters_the_stores_of_its_data_and_its_checkpoints(monkeypatch, tmp_path):
    metered = []
    monkeypatch.setattr(workers, "Meter", lambda *args, apart, **more: metered.append(apart))
    rows, store = small.dataset(), MemoryStore()
    of = small.spec(rows, checkpoint_store=f"file://{tmp_path}/copies", checkpoint_every=1)
    of = replace(of, data=replace(of.data, store=f"file://{tmp_path}/data"))
    runs.begin(store, open_store(of.data.store), of, rows)
    workers.Workers(store, of.run)
    assert [one.url for one in metered[0]] == [of.data.store, of.checkpoint_store]


def test_where_nobody_sends_a_bill_only_seconds_count():
    now_s = iter([1.0, 2.0])
    assert Meter(Rates(), Traced(MemoryStore()), clock=lambda: next(now_s))() == Bill(1.0, 0.0)
