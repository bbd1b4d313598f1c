"""The handler: an event that nobody of ours sends is refused in a line, and not tried again."""

import json
from types import SimpleNamespace

import pytest

from lambda_pkg import handler

CONTEXT = SimpleNamespace(function_name="nnlite-worker", get_remaining_time_in_millis=lambda: 60_000)
PAYLOAD = {"run": "r", "store": "memory://x", "worker": 0, "attempt": 1}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "event",
    [
        1, [], "x", None, True, {}, nested(900), {"a": nested(900)}, {"action": "repair"}, {"action": "other"},
        {"action": "repair", "store": 5, "rule": "r"}, {"action": "repair", "store": "s", "rule": "r", "more": 1},
        {**PAYLOAD, "worker": -1}, {**PAYLOAD, "worker": "0"}, {**PAYLOAD, "attempt": 1.5}, {**PAYLOAD, "run": "../x"},
        {**PAYLOAD, "run": ["r"]}, {**PAYLOAD, "more": 1}, {**PAYLOAD, "attempt": 10**400},
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
