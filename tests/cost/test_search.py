"""The search for a memory size: what a share is, what an objective means, and that the search ends near the best."""

import math

import numpy as np
import pytest

from nnlite.cost.belief import Belief
from nnlite.cost.curve import OBJECTIVES, Curve, score, share
from nnlite.cost.search import MemorySearch
from nnlite.errors import RunError, UsageError
from nnlite.quantities import ONE_CORE_MB
from tools.bench import optimize
from tools.bench.profiles import KINDS, Synthetic

SIZES = np.geomspace(128, 10240, 50)


@pytest.mark.parametrize("knee_mb", [400, ONE_CORE_MB, 3000, np.inf])
@pytest.mark.parametrize(("sharpness", "beyond"), [(np.inf, 0.0), (4.0, 0.0), (np.inf, 0.6), (np.inf, 1.0)])
def test_more_memory_is_never_less_of_a_core_and_never_more_than_its_part(knee_mb, sharpness, beyond):
    of = share(SIZES, knee_mb, sharpness, beyond)
    assert (np.diff(of) >= -1e-12).all()
    assert (of <= SIZES / ONE_CORE_MB + 1e-12).all()
    assert share(float(ONE_CORE_MB)) == pytest.approx(1.0)
    if beyond == 0.0 and math.isfinite(knee_mb):
        assert (of <= knee_mb / ONE_CORE_MB + 1e-12).all()
    if beyond == 1.0:
        assert of == pytest.approx(SIZES / ONE_CORE_MB)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_prefers_what_is_better(objective):
    """Twice as fast for the same money, or half the price at the same speed, is never worse."""
    assert score(objective, 1024, 1.0) <= score(objective, 512, 2.0)
    assert score(objective, 512, 1.0) <= score(objective, 1024, 1.0)
    assert score(objective, 512, 1.0) < score(objective, 1024, 2.0)


def test_performance_per_cost_is_work_done_per_second_and_dollar():
    rng = np.random.default_rng(0)
    memory_mb, seconds = rng.uniform(128, 3008, 20), rng.uniform(1, 9, 20)
    performance, cost = 1 / seconds, memory_mb * seconds
    best = (performance / cost).argmax()
    assert score("performance-per-cost", memory_mb, seconds).argmin() == best


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fifty_noisy_profiles(objective):
    """Ours ends within 5 % of the best in at most 8 probes; a descent that believes each timing does not."""
    ours = [optimize.one("ours", objective, seed) for seed in range(50)]
    assert sum(regret <= 0.05 for regret, _ in ours) >= 48, ours
    assert all(probes <= 8 for _, probes in ours)
    theirs = [optimize.one("descent", objective, seed)[0] for seed in range(50)]
    assert sum(regret <= 0.05 for regret in theirs) < 40


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_timing_a_probe_is_nearly_enough(objective):
    assert sum(optimize.one("ours", objective, seed, timings=1)[0] <= 0.05 for seed in range(40)) >= 36


def test_profiles_are_of_four_kinds_and_as_noisy_as_promised():
    profiles = [Synthetic(seed) for seed in range(50)]
    assert {p.kind for p in profiles} == set(KINDS)
    assert all(0.05 <= p.noise <= 0.2 for p in profiles)
    timed = np.array([Synthetic(1)(1000) / Synthetic(1).curve.seconds(1000) for _ in range(1)])
    assert timed > 0
    flat = Synthetic(2)
    times = np.array([flat(1000) for _ in range(2000)]) / float(flat.curve.seconds(1000))
    assert 0.04 < np.mean(times > 1.7) < 0.15  # outliers
    assert np.median(np.abs(np.log(times))) == pytest.approx(0.6745 * flat.noise, rel=0.25)


def searched(profile, objective="performance-per-cost", scale=1.0, **more):
    search = MemorySearch(objective, 256, 3008, **more)
    asked = []
    while (memory_mb := search.next()) is not None:
        asked.append(memory_mb)
        search.add(memory_mb, scale * profile(memory_mb))
    return search, asked


@pytest.mark.parametrize("seed", range(8))
def test_the_same_timings_give_the_same_search_in_whatever_unit(seed):
    first, asked = searched(Synthetic(seed))
    again, asked_again = searched(Synthetic(seed), scale=1000.0)
    assert asked == asked_again
    assert first.choice_mb == again.choice_mb
    assert all(256 <= memory_mb <= 3008 for memory_mb in asked)


def test_without_noise_it_knows_early_and_its_curve_fits():
    truth = Curve(1.0, 4.0, ONE_CORE_MB)
    search, asked = searched(lambda mb: float(truth.seconds(mb)), cores=1)
    assert len(asked) <= 6
    assert search.doubt <= 0.1
    sizes = np.geomspace(256, 3008, 20)
    assert search.curve.seconds(sizes) == pytest.approx(truth.seconds(sizes), rel=0.08)


def test_one_wild_timing_changes_little():
    truth = Curve(0.5, 4.0, ONE_CORE_MB)
    timings = [(mb, float(truth.seconds(mb))) for mb in (256, 512, 900, 1769, 2500, 3008)]
    calm, wild = Belief(256, 3008, 1), Belief(256, 3008, 1)
    calm.learn(timings)
    wild.learn([*timings[:-1], (3008, 3.5 * timings[-1][1])])
    best = [int((b.weights @ b.regrets("performance-per-cost")).argmin()) for b in (calm, wild)]
    assert abs(best[0] - best[1]) <= 2


@pytest.mark.parametrize("known", [True, False])
def test_a_size_that_is_too_small_is_ruled_out_with_all_below(known):
    """Whether the platform says of the dead how much they needed, or only of those that lived."""
    search, asked = MemorySearch("cost", 256, 3008), []
    while (memory_mb := search.next()) is not None:
        asked.append(memory_mb)
        died = memory_mb < 700
        search.add(memory_mb, math.inf if died else 1.0, needs_mb=700 if known or not died else 0)
    assert 700 <= search.choice_mb <= 800
    assert len(asked) <= 8
    assert sum(memory_mb < 700 for memory_mb in asked) == 1


def test_memory_that_is_never_enough_is_an_error_that_says_so():
    for seconds, needs_mb in ((math.inf, 0.0), (math.inf, 400.0), (1.0, 255.0)):
        with pytest.raises(RunError, match=r"needs more memory than the 256 MB.*allow more"):
            MemorySearch("cost", 256, 256).add(256, seconds, needs_mb=needs_mb)


def test_one_allowed_size_needs_one_probe():
    only = MemorySearch("time", 512, 512)
    assert only.next() == 512
    only.add(512, 1.0)
    assert only.next() is None
    assert only.choice_mb == 512


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (("speed", 256, 3008), "no objective 'speed'; there are cost, time, performance-per-cost"),
        (("cost", 64, 3008), "memory 64:3008 MB"),
        (("cost", 256, 20000), "from 128 to 10240"),
        (("cost", 3008, 256), "LOWEST:HIGHEST"),
        (("cost", 256, 3008, 0), "0 probes"),
    ],
)
def test_what_cannot_be_searched(bad, words):
    with pytest.raises(UsageError, match=r"wanted|there are") as caught:
        MemorySearch(*bad)
    assert words in str(caught.value)


@pytest.mark.parametrize("seconds", [(), (0.0,), (-1.0,), (math.nan,), (1.0, 0.0)])
def test_what_is_no_timing(seconds):
    with pytest.raises(RunError, match="wanted more than 0"):
        MemorySearch("cost", 256, 3008).add(256, *seconds)
