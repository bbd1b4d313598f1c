"""Slow momentum, and means of checkpoints: a round's end is a function of its beginning, whoever closes it."""

from functools import cache

import numpy as np
import pytest

from nnlite import weights
from nnlite.errors import RunError, StructureError, UsageError, WeightsError
from nnlite.protocol.averaging import closing, contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import Model
from nnlite.protocol.records.head import DONE
from nnlite.protocol.roles.waiter import Waiter
from nnlite.simulation.simulator import Faults
from tests.protocol import test_faults, test_vanishing
from tests.protocol.test_durable import DURABLE, wiped
from tests.protocol.test_faults import BOUND_S, CHUNKS, SEEDS, fail, outcome
from tests.protocol.test_faults import SHAPES as TREES
from tests.protocol.toy import simulate, spec

WAYS = ({"slow_momentum": 0.5}, {"slow_momentum": 0.3, "average_last": 2}, {"ema": 0.9}, {"average_last": 9})
SHAPES = {"a": (2, 3), "momentum:a": (2, 3)}


def of(seed, num_rounds=3, **more):
    workers, widths = TREES[seed % len(TREES)]
    return spec(workers, num_rounds, widths, **WAYS[seed % len(WAYS)], **more)


@cache
def calm(seed, num_rounds=3):
    return outcome(simulate(of(seed, num_rounds)))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_thousand_schedules_end_with_the_same_bytes(chunk):
    for seed in range(chunk, SEEDS, CHUNKS):
        simulation = simulate(of(seed), seed, test_faults.schedule(seed))
        if outcome(simulation) != calm(seed % (len(TREES) * len(WAYS))):
            fail(simulation, "other bytes than without faults")
        if test_faults.requests(simulation) > test_faults.request_cap(simulation):
            fail(simulation, f"{test_faults.requests(simulation)} requests")


@pytest.mark.parametrize("after", [False, True])
def test_killing_one_invocation_at_every_single_effect_changes_nothing(after):
    effect = crashes = 0
    run_spec = spec(2, 2, (1, 2), slow_momentum=0.5, average_last=2)
    expected = outcome(simulate(run_spec))
    while True:
        effect += 1
        simulation = simulate(run_spec, 1, Faults(crash_at=effect, crash_after=after))
        assert outcome(simulation) == expected, f"killed at effect {effect}"
        if simulation.num_effects < effect:
            break
        crashes += simulation.counts["crashes"]
    assert crashes > 80


def test_workers_hand_over_before_their_deadline():
    handed_over = 0
    for seed in range(20):
        simulation = simulate(of(seed, hand_over_s=4.0), seed, Faults(timeout_s=6.0, slice_s=0.2))
        assert outcome(simulation) == calm(seed), f"seed {seed}"
        handed_over += simulation.counts["handed over in time"]
    assert handed_over > 20


@pytest.mark.parametrize("at_s", [(0.5,), (7.0,), (2.0, 5.0, 30.0)])
def test_a_run_that_is_restored_from_its_copy_ends_with_the_same_bytes(at_s):
    """What is remembered from one closing to the next is in the copy."""
    for seed in range(40):
        simulation = simulate(of(seed, 5, **DURABLE), seed, wiped(seed, *at_s))
        last = simulation.run(BOUND_S)
        there = {**simulation.durable, **simulation.store}
        assert last.status == DONE, f"seed {seed}: {last}"
        found = last.accuracy, there[simulation.keys.checkpoint(last.result)].data
        assert found == calm(seed % (len(TREES) * len(WAYS)), 5), f"seed {seed}"


def test_with_a_quorum_runs_end_well():
    for seed in range(60):
        simulation = simulate(of(seed, quorum=1), seed, test_faults.schedule(seed))
        assert simulation.run(BOUND_S).status == DONE, f"seed {seed}"


@pytest.mark.parametrize("chunk", range(4))
@pytest.mark.parametrize("copies", [{}, test_vanishing.DURABLE])
def test_any_object_may_go(chunk, copies):
    """With copies the run comes to the same end; without, it may end for want of what nobody has any more."""
    vanished = 0
    for seed in range(chunk, 400, 4):
        simulation = simulate(of(seed, **copies), seed, test_vanishing.schedule(seed, max_vanished=6))
        last = test_vanishing.ended(simulation)
        vanished += simulation.counts["vanished"]
        if last.status == DONE:
            found = test_vanishing.checkpoint(simulation, last)
            if found is None and not copies:
                continue  # the result went together with what it was made of
            if found != calm(seed % (len(TREES) * len(WAYS)))[1]:
                fail(simulation, "other bytes than where nothing vanished")
        elif copies or not any(words in last.reason for words in test_vanishing.LOST):
            fail(simulation, f"ended as {last}")
    assert vanished > 100


def without_checkpoint(seed):
    """A run whose store loses checkpoints, among them those that closing needs."""
    run_spec = spec(2, 4, (1, 2), slow_momentum=0.5)
    return simulate(run_spec, seed, Faults(vanish=("/ckpt/",), vanish_rate=0.01, max_vanished=1, straggler_rate=0.3))


def test_a_lost_checkpoint_that_closing_needs_is_made_again_or_ends_the_run():
    expected, done = outcome(simulate(spec(2, 4, (1, 2), slow_momentum=0.5))), 0
    for seed in range(60):
        simulation = without_checkpoint(seed)
        last = simulation.run(BOUND_S)
        found = test_vanishing.checkpoint(simulation, last) if last.status == DONE else None
        assert found == expected[1] or any(words in last.reason for words in test_vanishing.LOST), (
            f"seed {seed}: {last}"
        )
        done += found is not None and simulation.counts["vanished"]
    assert done > 10


def test_without_looking_for_it_a_round_waits_for_ever(monkeypatch):
    monkeypatch.setattr(Waiter, "_see_to_beginning", lambda self: iter(()))
    with pytest.raises(RunError, match="still running"):
        assert not [without_checkpoint(seed).run(BOUND_S) for seed in range(60)]


def test_without_its_momentum_in_the_checkpoint_the_bytes_are_others(monkeypatch):
    """A closer that remembers by itself knows nothing of the rounds that others have closed."""
    run_spec = spec(3, 4, (1, 3), slow_momentum=0.5)
    expected = outcome(simulate(run_spec))
    monkeypatch.setattr(closing, "_carried", lambda found: {})
    assert outcome(simulate(run_spec)) != expected


# ---- the function


def made(vector, shapes=SHAPES):
    data = contribution.encode(Model(np.asarray(vector, np.float32), shapes), Tally(1), "k")
    return contribution.decode(data, "k")[0]


def rounds(num_rounds, **how):
    """Close so many rounds, whose means go one up in every weight. -> the checkpoints' vectors, the first one's too"""
    run_spec, at = spec(2, num_rounds, **how), made(np.arange(12))
    found = [at]
    for version in range(1, num_rounds + 1):
        model = closing.shared(at, "k").vector.copy()
        model[:6] += 1
        model[6:] = version
        data = closing.close(at, made(model), Tally(2), "k", version, run_spec)
        assert data == closing.close(at, made(model), Tally(2), "k", version, run_spec)
        at = contribution.decode(data, "k")[0]
        found.append(at)
    assert at.shapes == SHAPES
    assert (at.vector[6:] == num_rounds).all()
    return [closing.shared(one, "k").vector[:6] for one in found]


def test_slow_momentum():
    """u = u / 2 + 1, and the weights go u further."""
    steps = np.diff(rounds(4, slow_momentum=0.5), axis=0)
    assert np.array_equal(steps, np.outer([1, 1.5, 1.75, 1.875], np.ones(6)))


@pytest.mark.parametrize(("last", "mean"), [(1, 4), (2, 3.5), (3, 3), (4, 2.5), (9, 2.5)])
def test_the_result_is_the_mean_of_the_last(last, mean):
    found = rounds(4, average_last=last)
    assert np.allclose(found[4], np.arange(6) + mean)
    assert np.array_equal(found[3], np.arange(6) + 3)


def test_the_result_is_a_moving_average():
    found, ema = rounds(5, ema=0.3), 0.0
    for version in range(1, 6):
        decay = min(0.3, version / (9 + version))
        ema = decay * ema + (1 - decay) * version
    assert np.allclose(found[5], np.arange(6) + ema)


def test_momentum_goes_before_means():
    slow, both = rounds(4, slow_momentum=0.5), rounds(4, slow_momentum=0.5, average_last=2)
    assert np.allclose(both[4], (slow[3] + slow[4]) / 2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(StructureError, match="made by different runs"):
        closing.close(
            made(np.arange(12)), made(np.arange(6), {"a": (2, 3)}), Tally(), "k", 1, spec(2, slow_momentum=0.5)
        )
    mixed = weights.Weights(np.zeros(12, np.float32), {"slow:a": (2, 3), "a": (2, 3)}, {})
    with pytest.raises(WeightsError, match="k is not a sound checkpoint"):
        closing.shared(mixed, "k")


@pytest.mark.parametrize(
    ("how", "said"),
    [({"slow_momentum": 1.0}, "slow momentum 1.0"), ({"ema": -0.1}, "ema -0.1"),
     ({"average_last": 0}, "average_last: 0"), ({"ema": 0.5, "average_last": 2}, "leave one out")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(how, said):
    with pytest.raises(UsageError, match=said):
        spec(2, **how)
