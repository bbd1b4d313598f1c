"""A specification survives its JSON, and nothing that cannot be gets through the door."""

import json

import pytest

from nnlite.errors import StoreError
from nnlite.protocol.records.spec import FORMAT, RunSpec
from tests.protocol.toy import spec


def test_json_round_trip_is_exact_and_deterministic():
    original = spec(5, widths=(1, 2, 5), target_accuracy=0.9, steps_per_round=7)
    again = RunSpec.from_json(original.to_json(), "here")
    assert again == original
    assert again.to_json() == original.to_json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_workers": 0}, "workers: 0"),
        ({"num_workers": 2000}, "only 1000 training samples"),
        ({"num_rounds": -1}, "rounds: -1"),
        ({"num_rounds": 0, "protocol": "downpour"}, "rounds of downpour: 0"),
        ({"run": "../x"}, "run id"),
        ({"run": ""}, "run id"),
        ({"target_accuracy": 1.5}, "target accuracy 1.5"),
        ({"target_accuracy": 0.0}, "target accuracy 0.0"),
        ({"steps_per_round": 0}, "steps per round: 0"),
        ({"eval_every": 0}, "eval_every: 0"),
        ({"lease_ttl_s": -1.0}, "lease_ttl_s"),
        ({"lease_ttl_s": 1e300}, "lease_ttl_s"),
        ({"lease_ttl_s": float("nan")}, "a finite number"),
        ({"num_workers": 10**8}, "workers: 100,000,000, wanted at most 100,000"),
        ({"poll_s": 0.0}, "poll_s"),
        ({"max_attempts": 0}, "max_attempts"),
    ],
)
def test_the_door_is_shut_to(change, words):
    values = {**json.loads(spec().to_json()), **change}
    if change.get("num_workers") is not None:
        values["tree_widths"] = [1, change["num_workers"]]
    with pytest.raises(StoreError, match=words):
        RunSpec.from_json(json.dumps(values).encode(), "here")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"nonsense", b"{}", b'{"unknown": 1}', b"\xff", b'{"data": {}}', b'{"data": null}']
)
def test_what_is_no_specification_is_said_to_be_none(data):
    with pytest.raises(StoreError, match=r"runs/x/spec\.json is not a run's specification"):
        RunSpec.from_json(data, "runs/x/spec.json")


def test_another_format_is_refused():
    values = {**json.loads(spec().to_json()), "format": 99}
    with pytest.raises(
        StoreError, match=f"format: expected a whole number, {FORMAT} .what another version .*, found 99"
    ):
        RunSpec.from_json(json.dumps(values).encode(), "here")


def test_the_last_checkpoint_is_always_scored_and_the_first_never():
    for every in (1, 2, 3, 100):
        run_spec = spec(num_rounds=7, eval_every=every)
        assert run_spec.scores(7)
        assert not run_spec.scores(0)
        assert [r for r in range(1, 7) if run_spec.scores(r)] == list(range(every, 7, every))
