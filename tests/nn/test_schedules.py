"""Learning rates at known steps."""

import pytest

from nnlite import nn
from nnlite.errors import StructureError

SCHEDULES = [
    nn.StepDecay(0.4, 10, 0.5),
    nn.Exponential(0.4, 10, 0.5),
    nn.Cosine(0.4, 100),
    nn.Cosine(0.4, 100, end=0.01, warmup=7),
]


def test_step_decay():
    schedule = nn.StepDecay(0.4, 10, 0.5)
    assert [schedule.at(step) for step in (0, 9, 10, 19, 20, 35)] == [0.4, 0.4, 0.2, 0.2, 0.1, 0.05]


def test_exponential():
    schedule = nn.Exponential(0.4, 10, 0.25)
    assert [schedule.at(step) for step in (0, 5, 10, 20)] == pytest.approx([0.4, 0.2, 0.1, 0.025])


def test_cosine():
    schedule = nn.Cosine(0.4, 100, end=0.1)
    wanted = [0.4, 0.1 + 0.3 * (1 + 0.5**0.5) / 2, 0.25, 0.1, 0.1]
    assert [schedule.at(step) for step in (0, 25, 50, 100, 1000)] == pytest.approx(wanted)


def test_cosine_warms_up():
    schedule = nn.Cosine(0.4, 104, warmup=4)
    assert [schedule.at(step) for step in (0, 1, 3, 4, 54, 104)] == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.2, 0.0])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_rates_fall_from_start_and_never_below_zero(schedule):
    warmup = getattr(schedule, "warmup", 0)
    rates = [schedule.at(step) for step in range(200)]
    assert max(rates) == pytest.approx(schedule.start)
    assert rates[warmup] == pytest.approx(schedule.start)
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert min(rates) >= 0
    assert all(isinstance(rate, float) for rate in rates)


@pytest.mark.parametrize("kind", [nn.StepDecay, nn.Exponential])
def test_periods_are_at_least_a_step(kind):
    with pytest.raises(StructureError, match=f"{kind.__name__}: every = 0 steps"):
        kind(0.1, every=0)


@pytest.mark.parametrize(("num_steps", "warmup"), [(0, 0), (5, 5), (5, 9), (5, -1)])
def test_a_warm_up_is_shorter_than_the_schedule(num_steps, warmup):
    with pytest.raises(StructureError, match=f"Cosine: a warm-up of {warmup} steps in {num_steps}"):
        nn.Cosine(0.1, num_steps, warmup=warmup)
