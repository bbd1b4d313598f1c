"""Every object says under which key it was written, and no reader takes another one for it."""

import json
import re

import pytest

from nnlite import weights
from nnlite.errors import RunError, StoreError
from nnlite.protocol.effects import Create, Get, GetMany, Swap
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.records import identity
from nnlite.simulation.simulator import Faults, Simulation
from nnlite.simulation.values import Stored
from tests.protocol import toy_trials
from tests.protocol.test_downpour import downpour
from tests.protocol.test_faults import BOUND_S
from tests.protocol.toy import simulate, spec

SHORT = {"hand_over_s": 2.0, "beat_s": 1.0}
HURRY = Faults(timeout_s=6.0, slice_s=0.4)  # so that there are hand-overs, and cursors
MAKES = {
    "averaging": lambda seed: simulate(spec(4, 4, (1, 2, 4), **SHORT), seed, HURRY),
    "downpour": lambda seed: simulate(downpour(2, 1, 1, eval_every=1, steps_per_round=1, **SHORT), seed, HURRY),
    "search": lambda seed: toy_trials.simulate(toy_trials.search_of(9, 2), seed, Faults(timeout_s=25.0, slice_s=2.0)),
}
OBJECTS = [  # protocol, and what is mixed up with another of its kind
    ("averaging", r"/ckpt/\d+$"),
    ("averaging", r"/rounds/\d+/2/\d+$"),  # contributions
    ("averaging", r"/rounds/\d+/1/\d+$"),  # merged nodes
    ("averaging", r"/cursors/\d+/\d+$"),
    ("downpour", r"/ckpt/\d+$"),
    ("downpour", r"/updates/\d+/\d+$"),
    ("downpour", r"/cursors/\d+/\d+$"),
    ("search", r"/\d+/model$"),
    ("averaging", r"/leases/\d+.json$"),
    ("averaging", r"summary.json$"),
    ("downpour", r"/evaluations/\d+.json$"),
    ("search", r"/claim.json$"),
    ("search", r"/result.json$"),
    ("search", r"/timing.json$"),
]


def key_in(data):
    """What an object says that it is."""
    about = json.loads(data) if data[:1] == b"{" else weights.decode(data).metadata
    return about.get(identity.KEY)


@pytest.mark.parametrize("protocol", MAKES)
def test_every_object_of_a_run_says_what_it_is(protocol, monkeypatch):
    seen, plain = set(), Simulation._request

    def request(self, effect):
        if isinstance(effect, (Create, Swap)) and not effect.key.endswith((".claim", "/spec.json")):
            assert key_in(effect.data) == effect.key
            seen.update(kind for of, kind in OBJECTS if of == protocol and re.search(kind, effect.key))
        return plain(self, effect)

    monkeypatch.setattr(Simulation, "_request", request)
    MAKES[protocol](1).run(BOUND_S)
    assert seen == {kind for of, kind in OBJECTS if of == protocol}


@pytest.mark.parametrize(("protocol", "kind"), OBJECTS)
def test_an_object_of_another_round_worker_or_version_is_refused(protocol, kind):
    """The store answers, from some moment on, with another of the same kind that it once had."""
    refused = 0
    for seed in range(6):
        simulation = MAKES[protocol](seed)
        lies = mix_up(simulation, kind, after=3 * seed)
        said = what_is_said(simulation)
        assert bool(lies) == bool(re.search(rf"{kind[:-1]}: what the store answers says that it is '.*', ", said)), said
        refused += bool(lies)
    assert refused


@pytest.mark.parametrize(("protocol", "key"), [("averaging", "head"), ("averaging", "repair"), ("downpour", "combine")])
def test_the_head_or_a_lease_of_another_run_is_refused(protocol, key):
    simulation = MAKES[protocol](1) if key == "combine" else simulate(spec(4, 2), 1, Faults(crash_rate=0.1))
    where = getattr(simulation.keys, key)
    record = Head() if key == "head" else Lease(3, "x")
    simulation.store[where] = Stored(record.to_json(getattr(Keys("other"), key)), 1)
    assert f"{where}: what the store answers says that it is 'runs/other/" in what_is_said(simulation)


def what_is_said(simulation):
    """Of a run that may end in an error; and of what it cannot read."""
    try:
        simulation.run(BOUND_S)
    except StoreError as error:
        return str(error)
    return "".join(what[0].values["reason"] for _, _, what in simulation._story if "unreadable" in str(what[0]))


def mix_up(simulation, kind, after):
    """From the `after`th look at that kind on, answer with the newest of the others. -> the keys of such answers"""
    plain, known, lies, looks = simulation._request, {}, [], 0

    def other(key, found):
        nonlocal looks
        if found is None or not re.search(kind, key):
            return found
        known[key] = found.data
        looks += 1
        others = [data for name, data in known.items() if name != key]
        if looks <= after or not others:
            return found
        lies.append(key)
        return Stored(others[-1], found.version)

    def request(effect):
        answer = plain(effect)
        if isinstance(effect, (Create, Swap)) and re.search(kind, effect.key):
            known[effect.key] = bytes(effect.data)
        if isinstance(effect, Get) and not effect.durable:
            return other(effect.key, answer)
        if isinstance(effect, GetMany):
            return [other(key, one) for key, one in zip(effect.keys, answer, strict=True)]
        return answer

    simulation._request = request
    return lies


def test_an_object_that_does_not_say_what_it_is_is_refused():
    with pytest.raises(StoreError, match=r"runs/r/ckpt/00000003: .* does not say what it is, expected"):
        identity.check(None, Keys("r").checkpoint(3))
    with pytest.raises(StoreError, match="says that it is 7, expected"):
        identity.check(7, Keys("r").checkpoint(3))


def test_a_specification_under_another_run_is_refused():
    data, key = spec().to_json(), Keys("copy").spec
    assert RunSpec.of_run("toy", data, key) == spec()
    with pytest.raises(RunError, match=r"runs/copy/spec.json is the specification of run 'toy', expected .*'copy'"):
        RunSpec.of_run("copy", data, key)
