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


def test_a_warm_up_before_any_schedule_is_the_cosines_own():
    cosine, warm = nn.Cosine(0.4, 104, 0.01, warmup=4), nn.Warmup(nn.Cosine(0.4, 100, 0.01), 4)
    assert [warm.at(step) for step in range(120)] == pytest.approx([cosine.at(step) for step in range(120)])
    decay = nn.Warmup(nn.StepDecay(0.4, 10, 0.5), 2)
    assert [decay.at(step) for step in (0, 1, 2, 11, 12)] == [0.2, 0.4, 0.4, 0.4, 0.2]


def test_piecewise_linear_goes_through_its_points():
    schedule = nn.PiecewiseLinear([(10, 0.0), (20, 0.4), (40, 0.1)])
    assert [schedule.at(step) for step in (0, 10, 15, 20, 30, 40, 99)] == pytest.approx(
        [0, 0, 0.2, 0.4, 0.25, 0.1, 0.1]
    )
    assert nn.PiecewiseLinear([(0, 0.3)]).at(7) == 0.3


def test_one_cycle_rises_to_its_peak_and_falls_below_its_start():
    schedule = nn.OneCycle(0.5, 100, rise=0.21, start_divisor=10, end_divisor=100)
    rates = [schedule.at(step) for step in range(120)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[20] == pytest.approx(0.5)
    assert rates[99:] == pytest.approx([0.0005] * 21)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)


@pytest.mark.parametrize("schedule", [nn.OneCycle(0.5, 100), nn.OneCycle(0.2, 37, 0.5, 4, 10)], ids=str)
def test_one_cycle_is_pytorchs(schedule):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    twin = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schedule.peak, schedule.num_steps, pct_start=schedule.rise, div_factor=schedule.start_divisor,
        final_div_factor=schedule.end_divisor, cycle_momentum=False,
    )  # fmt: skip
    for step in range(schedule.num_steps - 1):
        assert schedule.at(step) == pytest.approx(twin.get_last_lr()[0], rel=1e-9), step
        optimizer.step()
        twin.step()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Warmup(0.1, 3), r"Warmup: then = 0\.1; wanted a schedule"),
        (lambda: nn.Warmup(nn.Cosine(0.1, 3), 0), "Warmup: num_steps = 0, wanted at least 1"),
        (lambda: nn.PiecewiseLinear([]), r"PiecewiseLinear: points \(\); wanted"),
        (lambda: nn.PiecewiseLinear([(3, 0.1), (3, 0.2)]), "rising steps"),
        (lambda: nn.PiecewiseLinear([(3, -0.1)]), "no rate below 0"),
        (lambda: nn.OneCycle(0.1, 1), "OneCycle: 1 steps"),
        (lambda: nn.OneCycle(0.1, 10, 0.1), r"a rise of 0\.1; wanted .* more than one of them"),
        (lambda: nn.OneCycle(0.1, 10, 0.3, 0.5), r"divisors 0\.5 and 10000\.0; wanted at least 1"),
    ],
)
def test_schedules_that_cannot_be(make, words):
    with pytest.raises(StructureError, match=words) as failure:
        make()
    assert "\n" not in str(failure.value)
