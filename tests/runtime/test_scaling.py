"""What several workers do otherwise than one: of a job to its plan, and never to one worker's."""

import json

import pytest

from nnlite import cases, nn
from nnlite.errors import UsageError
from nnlite.runs import plan, scaling
from nnlite.runs.job import Job
from nnlite.runtime import trainer

ROWS = cases.dataset(cases.CASES["c"], "fashion-sample")
BATCH, RATE = cases.CASES["c"].batch_size, 0.05
NEAR, FAR = ".nnlite", "s3://bucket/nnlite"


def planned(**chosen):
    return plan.plan(Job(**{"case": "c", "run": "r", **chosen}), ROWS)[1]


def optimizer(spec):
    return trainer.build(spec)[1]


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
@pytest.mark.parametrize("store", [NEAR, FAR])
def test_one_worker_is_what_it_is_without_scaling(protocol, store):
    of = {"protocol": protocol, "store": store}
    assert planned(**of) == planned(scale="none", **of)


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_without_scaling_several_workers_do_what_the_case_says(protocol):
    spec = planned(scale="none", workers=8, protocol=protocol)
    assert (spec.batch_size, spec.steps_per_round, optimizer(spec)) == (BATCH, None, nn.Momentum(RATE))
    assert spec.num_rounds == cases.CASES["c"].num_rounds


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
@pytest.mark.parametrize("workers", [2, 3, 4, 8, 16, 32])
def test_the_rate_follows_the_global_batch_and_falls_to_nothing(workers, protocol):
    spec = planned(workers=workers, protocol=protocol)
    rate = optimizer(spec).learning_rate
    everybody, num_steps = workers * spec.batch_size, spec.num_rounds * spec.steps_of_all_per_round / workers
    assert BATCH <= everybody <= max(BATCH + workers, scaling.LEAST_BATCH * workers)
    grown = min(scaling.MOST, everybody / BATCH)
    assert rate.start == pytest.approx(RATE * (grown if protocol == "averaging" else grown**0.5))
    assert rate.warmup == int(0.05 * rate.num_steps)
    assert rate.num_steps == num_steps


@pytest.mark.parametrize("store", [NEAR, FAR])
@pytest.mark.parametrize("workers", [2, 4, 8, 16, 32])
def test_as_many_samples_as_one_worker_take_part_scored_about_once_a_pass(workers, store):
    spec, passes = planned(workers=workers, epochs=6, store=store), 6
    a_round = spec.steps_of_all_per_round * spec.batch_size
    over = (
        workers * spec.batch_size * passes + a_round
    )  # the last minibatch of a shard is small, and the last round full
    assert 0 <= spec.num_rounds * a_round - passes * len(ROWS.train) <= over
    assert passes / 2 <= spec.num_rounds / spec.eval_every <= 2 * passes


def test_rounds_are_shorter_the_more_workers_there_are_and_longer_where_requests_are_dear():
    steps = {
        cheap: [scaling.of(w, BATCH, "averaging", cheap).steps_per_round for w in (4, 8, 16, 100)]
        for cheap in (True, False)
    }
    assert steps == {True: [64, 32, 16, 16], False: [256, 128, 64, 64]}
    assert [planned(workers=w).steps_per_round for w in (2, 4, 8, 16)] == [None, None, 32, 16]  # 60 steps are a pass
    assert planned(workers=16, store=FAR).steps_per_round is None
    assert planned(workers=8, protocol="downpour").steps_per_round is None


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 7}, {"steps_per_round": 5}, {"rounds": 3}, {"eval_every": 2}, {"batch_size": 100, "rounds": 1},
        {"checkpoint_every": 3},
    ],
)  # fmt: skip
def test_what_is_given_is_heeded_exactly(given):
    spec = planned(workers=8, **given)
    found = {name: getattr(spec, "num_rounds" if name == "rounds" else name) for name in given}
    assert found == given
    if "rounds" in given:
        assert spec.steps_per_round is None


def test_a_rate_that_is_given_is_the_peak_and_a_schedule_that_is_given_follows_the_warm_up():
    rate = optimizer(planned(workers=16, learning_rate=0.3)).learning_rate
    assert (rate.start, rate.end, rate.warmup > 0) == (0.3, 0.0, True)
    rate = optimizer(planned(workers=16, schedule="constant")).learning_rate
    assert rate.warmup > 0
    assert {rate.at(step) for step in range(rate.warmup, rate.num_steps)} == {RATE * 2.56}
    assert optimizer(planned(workers=16, schedule="cosine")) == optimizer(planned(workers=16))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_rate_and_a_schedule_that_are_given_are_all_there_is(schedule):
    of = {"workers": 16, "learning_rate": 0.3, "schedule": schedule, "rounds": 3}
    rate = optimizer(planned(**of)).learning_rate
    assert rate == (0.3 if schedule == "constant" else nn.Cosine(0.3, rate.num_steps))


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_optimizers_that_divide_by_the_gradient_follow_by_the_root(name):
    rate = optimizer(planned(workers=16, optimizer=name)).learning_rate
    assert rate.start == pytest.approx(0.001 * (16 * scaling.LEAST_BATCH / BATCH) ** 0.5)


def test_a_schedule_of_the_case_is_scaled_and_warmed_up():
    of = scaling.of(8, 64, "averaging", True)
    made = of.scheduled(nn.SGD(nn.StepDecay(0.1, 50)), 100, is_given=False)
    assert made == nn.SGD(nn.Warmup(nn.Scaled(nn.StepDecay(0.1, 50), 2.0), 5))
    assert [made.rate(step) for step in (0, 4, 54, 55)] == pytest.approx([0.04, 0.2, 0.2, 0.02])
    assert nn.Optimizer.from_config(json.loads(json.dumps(made.config()))) == made


def test_what_people_see_of_it():
    spec = planned(workers=16)
    rate = optimizer(spec).learning_rate
    assert (
        scaling.shown(spec, optimizer(spec))
        == f"rate 0.05 x 2.56 = 0.128, warm-up {rate.warmup} steps, cosine, batch 16 x 16"
    )
    plain = planned(workers=2, scale="none")
    assert scaling.shown(plain, optimizer(plain)) == "rate 0.05, constant, batch 100 x 2"


def test_an_unknown_scale_is_refused():
    with pytest.raises(UsageError, match="no scale 'much'; there are auto, none"):
        Job(case="c", scale="much")


def test_slow_momentum_is_for_many_workers_and_rounds_and_may_be_given():
    found = {w: scaling.of(w, BATCH, "averaging", True).slow_momentum(10) for w in (2, 3, 4, 7, 8, 16, 17, 100)}
    assert found == {2: 0.0, 3: 0.0, 4: 0.2, 7: 0.2, 8: 0.3, 16: 0.3, 17: 0.5, 100: 0.5}
    assert scaling.of(16, BATCH, "averaging", True).slow_momentum(9) == 0
    assert planned(workers=16).slow_momentum == 0.3
    assert planned(workers=16, slow_momentum=0.0).slow_momentum == 0
    assert planned(workers=16, rounds=9).slow_momentum == planned(workers=16, scale="none").slow_momentum == 0
    assert planned(workers=16, protocol="downpour").slow_momentum == 0
