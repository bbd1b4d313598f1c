"""What functions and platforms say of an invocation: checked, bounded, and never the end of a thread."""

import json
from types import SimpleNamespace

import pytest

from nnlite.errors import MOST_WORDS, RunError
from nnlite.invoker.aws.lambda_invoker import LambdaInvoker, Lost
from nnlite.invoker.openfaas.gateway import Gateway
from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker
from nnlite.records import fit

NOISE = "\x1b[2J\n" + "noise " * 9_000
MALFORMED = [
    '{"event": "ready"}', '{"event": "ready", "exec_timeout_s": 1e300}', '{"event": "ready", "exec_timeout_s": "5"}',
    '{"event": "error"}', '{"event": "unavailable", "message": 5}', '{"event": "left", "worker": -1}',
    '{"event": "round"}', '{"event": []}', json.dumps({"event": "error", "kind": NOISE}), json.dumps(NOISE),
]  # fmt: skip


def answering(monkeypatch, text: str, status: int = 200) -> OpenFaaSInvoker:
    """An invoker whose gateway answers every call with that text."""
    there = Gateway("http://127.0.0.1:1")
    monkeypatch.setattr(there._pool, "request", lambda *_, **__: SimpleNamespace(status=status, data=text.encode()))
    monkeypatch.setattr(there, "functions", lambda *_: {"f": None})
    return OpenFaaSInvoker(there, "r", "s3://b/p", "f", "a" * 64, patience_s=0.0)


def is_bounded(text: str) -> bool:
    return len(text) < MOST_WORDS + 200 and text.isprintable()


@pytest.mark.parametrize("text", MALFORMED)
def test_a_function_that_says_no_message_is_not_ready_in_one_line(monkeypatch, text):
    with pytest.raises(RunError, match=r"^function f at http://127\.0\.0\.1:1: HTTP 200: ") as error:
        answering(monkeypatch, text).check(range(1))
    assert is_bounded(str(error.value.args[0]))


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("text", MALFORMED)
def test_a_call_with_a_malformed_answer_is_told_in_one_line(monkeypatch, text, status):
    """And a casualty, unless no other call can do better: the thread that waited for it has not died of it."""
    invoker = answering(monkeypatch, text, status)
    invoker.invoke(0, 1)
    told = invoker.events.get(timeout=180)
    assert told["event"] == ("error" if status == 404 else "unavailable")
    assert is_bounded(told["message"])
    invoker.close()
    assert invoker.casualties() == ([] if status == 404 else [(0, 1)])


def test_why_a_worker_of_a_function_is_unavailable_is_bounded(monkeypatch):
    invoker = answering(monkeypatch, json.dumps({"event": "unavailable", "message": NOISE}), 503)
    invoker.invoke(0, 1)
    assert is_bounded(invoker.events.get(timeout=180)["message"])
    invoker.close()


@pytest.mark.parametrize("kind", ["", "Boom", "ImportError"])
def test_what_lambda_says_of_a_lost_event_is_bounded(kind):
    lost = {"requestPayload": {"run": "r", "worker": 0, "attempt": 1}, "requestContext": {"condition": NOISE}}
    lost["responsePayload"] = {"errorMessage": NOISE, "errorType": kind}

    class Function:
        name = "f"

    told = LambdaInvoker("r", Function(), lambda *_: b"")._event(fit(Lost, lost, partial=True, others=True))
    says = told.get("why") or told["message"]
    assert len(says) < 2 * MOST_WORDS + 200
    assert says.isprintable()
