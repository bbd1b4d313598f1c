"""The model of a run, and what is built on it: estimates, and the choice of workers and tree."""

from collections import Counter
from dataclasses import replace

import pytest

from nnlite.cost import prices
from nnlite.cost.bill import cost
from nnlite.cost.curve import OBJECTIVES
from nnlite.cost.estimate import estimate
from nnlite.cost.profile import Profile
from nnlite.cost.rounds import RunModel, Shape
from nnlite.cost.sizing import best, candidates, sized
from nnlite.errors import RunError, UsageError
from nnlite.protocol import effects as fx
from nnlite.protocol.records.tree import Tree
from nnlite.simulation.simulator import Faults
from tests.protocol import toy

LIST = prices.tariff("us-east-1")
FAR = Profile(
    step_s=0.05, score_row_s=1e-4, warm_up_s=0.2, cold_start_s=0.4, merge_bytes_per_s=5e8, latency_s=0.03,
    store_bytes_per_s=8e7, peak_mb=200.0,
)  # fmt: skip
BYTES = 11_000_000


def run(num_workers=8, widths=None, num_train=60_000, **more):
    spec = toy.spec(num_workers, widths=widths, **more)
    data = replace(spec.data, num_train=num_train, num_test=10_000)
    return replace(spec, data=data, batch_size=100, max_poll_s=2.0)


def model(spec, profile=FAR, processes=None):
    return RunModel(Shape.of(spec, BYTES, processes), profile)


@pytest.mark.parametrize("num_workers", [1, 2, 10, 100, 1000])
@pytest.mark.parametrize("processes", [1, 2, None])
def test_every_second_of_every_process_is_accounted_for(num_workers, processes):
    made = model(run(num_workers), processes=processes)
    used = made.usage
    assert used.seconds == pytest.approx(made.shape.processes * made.seconds)
    assert used.init_s + used.compute_s + used.merge_s <= used.seconds
    assert used.compute_s >= num_workers * made.shape.num_rounds * made.train_s


@pytest.mark.parametrize(
    ("name", "worse"),
    [("step_s", 2.0), ("score_row_s", 2.0), ("warm_up_s", 2.0), ("cold_start_s", 2.0), ("latency_s", 2.0),
     ("merge_bytes_per_s", 0.5), ("store_bytes_per_s", 0.5), ("jitter", 2.0)],
)  # fmt: skip
def test_a_slower_part_makes_a_slower_and_dearer_run(name, worse):
    slower = replace(FAR, **{name: getattr(FAR, name) * worse})
    before, after = model(run()), model(run(), slower)
    assert after.seconds > before.seconds
    assert cost(after.usage, 1024, LIST).total_usd > cost(before.usage, 1024, LIST).total_usd


def test_workers_that_share_a_process_take_turns():
    alone, shared = model(run(8)), model(run(8), processes=2)
    assert shared.turns == 4
    assert shared.seconds > 3 * 4 / 8 * alone.train_s * alone.shape.num_rounds
    assert shared.usage.compute_s == pytest.approx(alone.usage.compute_s)


def test_many_workers_want_a_tree():
    flat, deep = model(run(200, (1, 200))), model(run(200, (1, 4, 25, 200)))
    assert deep.climb_s < flat.climb_s / 3


@pytest.mark.parametrize("widths", [(1,), (1, 2), (1, 5), (1, 4, 16), (1, 2, 8, 40)])
def test_requests_are_those_of_the_protocol_itself(widths):
    """Counted in the simulator, where the very program of the workers runs."""
    spec = toy.spec(widths[-1], num_rounds=6, widths=widths, max_poll_s=2.0, beat_s=1e4, lease_ttl_s=1e5, trace=False)
    simulation = toy.simulate(spec, seed=1, faults=Faults(latency_s=0.002))
    simulation.run()
    asked = Counter()
    for invocation, effect in simulation.performed:
        if invocation is not None and invocation.learner is not None:  # not the watcher: it runs at home
            asked[type(effect).__name__] += len(effect.keys) if isinstance(effect, fx.GetMany) else 1
    used = model(spec, replace(FAR, step_s=1e-4)).usage
    assert used.num_writes == pytest.approx(asked["Create"] + asked["Swap"], rel=0.05)
    assert used.num_reads == pytest.approx(asked["Get"] + asked["GetMany"], rel=0.3)


def test_an_estimate_is_what_its_model_says_at_these_prices():
    made = estimate(run(), FAR, BYTES, 1769, LIST)
    assert made.cost == cost(model(run()).usage, 1769, LIST)
    assert estimate(run(), FAR, BYTES).cost.memory_mb == FAR.peak_mb
    assert made.seconds == made.values()["seconds"] == pytest.approx(model(run()).seconds, abs=1e-3) or made.seconds
    assert LIST.date in str(made)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("workers", [(1, 1), (3, 3), (10, 200), (1, 1000)])
def test_the_best_of_all_candidates_is_chosen(objective, workers):
    chosen = best(run(), FAR, BYTES, 1024, LIST, objective, workers)
    assert workers[0] <= chosen.num_workers <= workers[1]
    for tree in candidates(*workers):
        assert workers[0] <= tree.widths[-1] <= workers[1]
        other = sized(run(), tree, FAR, BYTES, 1024, LIST)
        assert chosen.score(objective) <= other.score(objective)


def test_candidates_have_the_usual_tree_among_them_and_none_twice():
    found = list(candidates(1, 300))
    assert len(found) == len(set(found))
    for num in {tree.widths[-1] for tree in found}:
        assert Tree.for_workers(num) in found


def test_a_fixed_number_of_steps_is_shared_out():
    spec = run(10, steps_per_round=100)
    one, many = (sized(spec, Tree.for_workers(n), replace(FAR, latency_s=0, jitter=0), 1, 1024, LIST) for n in (5, 20))
    assert one.cost.gb_s["compute"] == pytest.approx(many.cost.gb_s["compute"], rel=0.1)


def test_another_model_can_stand_in():
    class Slow(RunModel):
        """Ten times as slow with more than two workers."""

        @property
        def seconds(self):
            return RunModel.seconds.fget(self) * (10 if self.shape.num_workers > 2 else 1)

    assert best(run(), FAR, BYTES, 1024, LIST, "time", (1, 100)).num_workers > 2
    assert best(run(), FAR, BYTES, 1024, LIST, "time", (1, 100), model=Slow).num_workers <= 2


@pytest.mark.parametrize(
    ("objective", "workers", "words"),
    [("fame", (1, 2), "no objective"), ("cost", (5, 2), "workers 5:2"), ("cost", (0, 2), "at least 1"),
     ("cost", (70_000, 80_000), "has 60000 training samples")],
)  # fmt: skip
def test_what_cannot_be_sized(objective, workers, words):
    with pytest.raises(UsageError, match=words):
        best(run(), FAR, BYTES, 1024, LIST, objective, workers)


def test_a_profile_travels_as_json_and_refuses_what_is_none():
    assert Profile.from_json(FAR.to_json(), "x") == FAR
    for text in ("{}", "[]", "7", "{", FAR.to_json().decode().replace("0.05", '"x"')):
        with pytest.raises(RunError, match="x is not a profile"):
            Profile.from_json(text, "x")
    with pytest.raises(RunError, match="step_s is nan"):
        replace(FAR, step_s=float("nan"))
