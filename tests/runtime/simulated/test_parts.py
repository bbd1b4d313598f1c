"""The parts of the simulator: values, the server that all share, profiles, faults, and the learner that only counts."""

import json
import math

import numpy as np
import pytest

from nnlite import weights
from nnlite.errors import UsageError
from nnlite.protocol.averaging.contribution import Tally, encode
from nnlite.protocol.downpour import updates
from nnlite.protocol.downpour.updates import Label
from nnlite.protocol.effects import Model
from nnlite.protocol.records.head import Head
from nnlite.runtime import trainer
from nnlite.simulation import faults
from nnlite.simulation.modelled import ModelledLearner
from nnlite.simulation.profile import ASSUMED, ComputeProfile, StoreProfile, Verb, WorldProfile
from nnlite.simulation.server import ModelledServer
from nnlite.simulation.values import Scale
from nnlite.store import open_store
from tests.runtime import small

FREE = Verb(0.0, 1e12)


# ---- values


@pytest.mark.parametrize("real", [100, 5_000, 83_000])
def test_a_small_value_counts_as_many_bytes_as_the_real_one_has(real):
    def model(size):
        return Model(np.zeros(size, np.float32), {"weight": (size,)})

    scale = Scale(100 * 4, real * 4)
    label = Label(0, 1, 0, 10, False, 5, 1.0, 0)
    for make in (lambda m: encode(m, Tally(3), "k"), lambda m: updates.encode(m, label, "k")):
        small_value, real_value = make(model(100)), make(model(real))
        assert abs(scale.num_bytes(small_value) - len(real_value)) < 64  # digits in the header, and its padding


def test_values_without_weights_count_as_they_are():
    scale = Scale(400, 400_000)
    assert scale.num_bytes(Head().to_json("k")) == len(Head().to_json("k"))
    empty = weights.encode(np.empty(0, np.float32), {}, {"tally": "{}"})
    assert scale.num_bytes(empty) == len(empty)
    assert scale.num_bytes(b"") == 0


# ---- the server


def server(bytes_per_s):
    return ModelledServer(StoreProfile(FREE, FREE, FREE, shared_bytes_per_s=bytes_per_s))


def busy(sizes):
    """-> (seconds that a server of 1,000 bytes/s needs at least for these, when it was done, and at most)"""
    rng = np.random.default_rng(0)
    one, now_s, last_s = server(1_000.0), 0.0, 0.0
    for num_bytes in sizes:
        now_s += float(rng.exponential(0.1))
        last_s = max(last_s, now_s + one.done_in_s(now_s, int(num_bytes)))
    return sum(sizes) / 1_000.0, last_s, now_s + sum(sizes) / 1_000.0


def test_a_server_never_moves_more_than_it_can_and_wastes_nothing():
    least_s, found_s, most_s = busy([250] * 400)
    assert least_s <= found_s <= most_s
    least_s, found_s, most_s = busy(np.random.default_rng(1).integers(1, 500, 400))
    assert 0.98 * least_s <= found_s <= most_s


def test_who_wants_little_does_not_wait_for_those_who_want_much():
    one = server(1_000.0)
    for _ in range(10):
        one.done_in_s(0.0, 100_000)  # they keep it busy for 1,000 s
    assert one.done_in_s(0.0, 1) == pytest.approx(11 / 1_000.0)
    assert one.done_in_s(0.0, 100_000) == pytest.approx(1_100.0, rel=0.01)


def test_requests_are_shared_as_bytes_are():
    one = ModelledServer(StoreProfile(FREE, FREE, FREE, shared_reads_per_s=100.0, shared_writes_per_s=50.0))
    ends = [one.done_in_s(0.0, 0, num_reads=1) for _ in range(100)] + [one.done_in_s(0.0, 0, num_writes=1)]
    assert max(ends) == pytest.approx(1.02)


# ---- the learner


def test_the_modelled_learner_takes_the_steps_and_rows_of_the_trainer():
    """Step by step, over epochs with a short last minibatch, in both protocols, and scoring."""
    rows = small.dataset(num_train=95, num_test=41)
    for protocol in ("averaging", "downpour"):
        spec = small.spec(rows, num_workers=2, batch_size=9, protocol=protocol)
        store = open_store(f"memory://modelled-{protocol}")
        from nnlite.runs import lifecycle

        lifecycle.begin(store, store, spec, rows)
        where = f"runs/{spec.run}/ckpt/00000000"
        data = store.get(where).data
        for worker in range(2):
            real = trainer.Trainer(spec, worker, store)
            model = ModelledLearner(
                spec, worker, Model(np.ones(4, np.float32), {"weight": (4,)}), ComputeProfile(1.0, 0.0, 1.0, 1.0, 1.0)
            )
            follow(real, model, protocol, data, where)


def follow(real, model, protocol, data, where):
    if protocol == "averaging":
        for one in (real, model):
            one.adopt(1, data, where)
        until = None
    else:
        totals = [one.join(data, where, 0, ()) for one in (real, model)]
        assert totals[0] == totals[1]
        until = totals[0]
    while True:
        a, b = real.train(0.0, until), model.train(0.0, until)
        assert (a.finished, a.num_samples, real.step) == (b.finished, b.num_samples, model.step)
        if until and real.step % 4 == 0:
            real.take_update()
            model.take_update()
        if a.finished:
            break
    a, b = real.score(1e9), model.score(1e9)
    assert (a.finished, a.num_samples) == (b.finished, b.num_samples) == (True, a.num_samples)


def test_time_is_steps_and_rows_and_a_slice_is_as_long_as_it_should_be():
    rows = small.dataset(num_train=96)
    spec = small.spec(rows, num_workers=1, batch_size=10)
    model = ModelledLearner(
        spec,
        0,
        Model(np.ones(4, np.float32), {"weight": (4,)}),
        ComputeProfile(0.1, 0.01, 0.002, 1.0, 1.0),
        slowness=2.0,
    )
    model.adopt(0, b"", "x")
    assert model.train(1.0).num_samples == 30  # a step is 0.4 s: the third ends behind the second
    assert model.took_s == pytest.approx(1.2)
    total_s = model.took_s
    while not model.train(1.0).finished:
        total_s += model.took_s
    assert total_s + model.took_s == pytest.approx(2.0 * (10 * 0.1 + 96 * 0.01))


# ---- profiles and faults


def profile(**more):
    compute = ComputeProfile(0.001, 0.0001, 0.00001, 1e9, 1e9, crowding=(1.0, 1.25))
    return WorldProfile(
        **{"store": ASSUMED["s3"], "compute": compute, "case": "b", "batch_size": 100, "start_s": 0.5, **more}
    )


def test_a_profile_survives_its_json():
    for store in ASSUMED.values():
        one = profile(store=store)
        assert WorldProfile.from_json(one.to_json(), "x") == one


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2), (("start_s",), -1), (("start_s",), "0"), (("store", "get", "bytes_per_s"), 0),
        (("compute", "step_s"), float("nan")), (("compute", "crowding"), [1.0, 0]), (("compute", "more"), 1),
        (("case",), 3), (("store",), []), (("store", "get"), None),
    ],
)  # fmt: skip
def test_what_is_no_profile_is_refused(path, value):
    values = json.loads(profile().to_json())
    inner = values
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(UsageError, match=r"here is not a profile .*--calibrate FILE"):
        WorldProfile.from_json(json.dumps(values), "here")


def test_a_crowd_on_one_machine_is_slower_and_functions_are_not():
    compute = profile().compute
    assert [compute.slowness(n) for n in (1, 2, 4)] == [1.0, 1.25, 2.5]
    assert ComputeProfile(1.0, 0.0, 0.0, 1.0, 1.0).slowness(1_000) == 1.0


def test_half_a_cpu_takes_twice_as_long_and_two_are_no_faster_for_one_thread():
    one = profile()
    half, twice = one.with_memory(885), one.with_memory(3_538)
    assert half.compute.step_s == pytest.approx(2 * one.compute.step_s, rel=0.001)
    assert half.compute.encode_bytes_per_s == pytest.approx(one.compute.encode_bytes_per_s / 2, rel=0.001)
    assert twice == one


def test_faults_are_read_as_they_are_written():
    found = faults.parse("crash=0.01,lose=0.2,double=0.3,straggler=0.05:7")
    assert (found.crash_rate, found.lose_rate, found.double_rate) == (0.01, 0.2, 0.3)
    assert (found.straggler_rate, found.straggler_factor) == (0.05, 7)
    assert faults.parse("") == faults.Faults()
    assert math.isinf(found.timeout_s)


@pytest.mark.parametrize("text", ["crash", "crash=x", "crash=2", "lose=-1", "burn=1", "straggler=0.1:0.5", "crash=1:2"])
def test_other_faults_are_refused(text):
    with pytest.raises(UsageError):
        faults.parse(text)
