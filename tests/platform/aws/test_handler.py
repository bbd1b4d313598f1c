"""The handler: an event that nobody of ours sends is refused in a line, and not tried again."""

import json
from types import SimpleNamespace

import pytest

from lambda_pkg import events, handler
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.runs import lifecycle
from nnlite.runtime.invocation import Payload
from nnlite.store.file import FileStore
from tests.runtime import small

CONTEXT = SimpleNamespace(function_name="nnlite-worker", get_remaining_time_in_millis=lambda: 60_000)
LEASE = Lease(1, "somebody")
PAYLOAD = {"run": "r", "store": "memory://x", "worker": 0, "attempt": 1, "spec": "a" * 64}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_an_event_is_refused_for_what_is_odd_in_it_alone():
    assert events.read(PAYLOAD) == Payload(**PAYLOAD)


@pytest.mark.parametrize(
    "event",
    [
        1, [], "x", None, True, {}, nested(900), {"a": nested(900)}, {"action": "repair"}, {"action": "other"},
        {"action": "repair", "store": 5, "rule": "r"}, {"action": "repair", "store": "s", "rule": "r", "more": 1},
        {**PAYLOAD, "worker": -1}, {**PAYLOAD, "worker": "0"}, {**PAYLOAD, "attempt": 1.5}, {**PAYLOAD, "run": "../x"},
        {**PAYLOAD, "run": ["r"]}, {**PAYLOAD, "more": 1}, {**PAYLOAD, "attempt": 10**400}, {**PAYLOAD, "spec": "a"},
    ],
    ids=lambda event: repr(event)[:50],
)  # fmt: skip
def test_what_is_no_event_of_ours_is_refused(event, monkeypatch, capsys):
    """Not raised: Lambda would try it twice more, and put it among the lost events of healthy runs."""
    monkeypatch.setattr(handler, "_function", lambda _: pytest.fail("was heard"))
    answer = handler.handle(event, CONTEXT)
    assert answer["reason"].startswith("refused: the event is not a ")
    assert len(answer["reason"]) < 300
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"event": "refused", "message": answer["reason"].removeprefix("refused: ")}


@pytest.mark.parametrize(
    ("worker", "attempt", "says"),
    [
        (7, 1, "refused: run small has no worker 7: wanted one from 0 to 1"),
        (2, 1, "refused: run small has no worker 2: wanted one from 0 to 1"),
        (1, 5, "another invocation is this worker"),  # nobody has opened its lease for that
    ],
)
def test_a_worker_that_its_run_did_not_ask_for_leaves_the_run_as_it_was(worker, attempt, says, monkeypatch, tmp_path):
    rows = small.dataset()
    of, store = small.spec(rows, 2), FileStore(tmp_path)
    lifecycle.begin(store, store, of, rows)
    if attempt > 1:
        store.put(Keys(of.run).lease(worker), LEASE.to_json(Keys(of.run).lease(worker)))
    before = {str(path): path.read_bytes() for path in tmp_path.rglob("runs/**/*.json")}
    monkeypatch.setattr(handler, "_function", lambda name: SimpleNamespace(name=name, invoke=pytest.fail))
    event = {"run": of.run, "store": store.url, "worker": worker, "attempt": attempt, "spec": of.sha256}
    assert handler.handle(event, CONTEXT)["reason"] == says
    assert {str(path): path.read_bytes() for path in tmp_path.rglob("runs/**/*.json")} == before
    assert Head.from_json(store.get(Keys(of.run).head).data, Keys(of.run).head).status == "running"
