"""The schedule of a search is asynchronous successive halving, and a function of the set of results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite.errors import UsageError
from nnlite.protocol.search.asha import Ladder, TrialSchedule, ladder


def ranks(seed: int, num_trials: int, num_rungs: int, lost_rate: float = 0.2):
    """A rank for every trial at every rung; None for some, which diverged. Few values, so that there are ties."""
    rng = np.random.default_rng(seed)
    return {
        (trial, rung): None if rng.random() < lost_rate else (float(rng.integers(0, 8)),)
        for trial in range(num_trials)
        for rung in range(num_rungs)
    }


def all_jobs(schedule: TrialSchedule, known) -> list[tuple[int, int]]:
    schedule.advance(known)
    assert schedule.is_complete
    return [job.key for job in schedule.jobs]


def as_published(rungs: Ladder, num_trials: int, num_slots: int, known) -> list[tuple[int, int]]:
    """Algorithm 2 of Li et al. 2018, on machines that take a unit of time for a round: written as it is printed, with
    a full sort at every decision, and a look at every machine at every tick."""
    done: list[dict[int, tuple]] = [{} for _ in rungs.rounds]
    promoted: list[set[int]] = [set() for _ in rungs.rounds]
    jobs, drawn, tick, machines = [], 0, 0, [None] * num_slots

    def get_job():
        nonlocal drawn
        for rung in reversed(range(rungs.top)):
            ranked = sorted((rank, trial) for trial, rank in done[rung].items() if rank is not None)
            for _, trial in ranked[: len(done[rung]) // rungs.eta]:
                if trial not in promoted[rung]:
                    promoted[rung].add(trial)
                    return trial, rung + 1
        if drawn < num_trials:
            drawn += 1
            return drawn - 1, 0
        if all(m is None for m in machines) and rungs.top and not promoted[rungs.top - 1]:  # ours: one gets to the top
            for rung in reversed(range(rungs.top)):
                ranked = sorted((rank, t) for t, rank in done[rung].items() if rank is not None)
                for _, trial in ranked:
                    if trial not in promoted[rung]:
                        promoted[rung].add(trial)
                        return trial, rung + 1
        return None

    while True:
        for at, machine in enumerate(machines):
            if machine is not None and machine[0] == tick:
                done[machine[1][1]][machine[1][0]] = known[machine[1]]
                machines[at] = None
        for at, machine in enumerate(machines):
            if machine is None and (job := get_job()) is not None:
                jobs.append(job)
                machines[at] = (tick + rungs.added(job[1]), job)
        if all(m is None for m in machines):
            return jobs
        tick += 1


searches = st.tuples(
    st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 12), st.integers(1, 30), st.integers(2, 4)
)


@settings(deadline=None, max_examples=60)
@given(searches)
def test_it_is_the_published_algorithm(search):
    seed, num_trials, num_slots, num_rounds, eta = search
    rungs = ladder(num_rounds, eta=eta)
    known = ranks(seed, num_trials, len(rungs.rounds))
    assert all_jobs(TrialSchedule(rungs, num_trials, num_slots), known) == as_published(
        rungs, num_trials, num_slots, known
    )


@settings(deadline=None, max_examples=60)
@given(searches, st.randoms(use_true_random=False))
def test_promotions_depend_on_the_set_of_results_and_not_on_their_order(search, order):
    """Whatever arrives first, and however many at once: the same jobs, in the same order."""
    seed, num_trials, num_slots, num_rounds, eta = search
    rungs = ladder(num_rounds, eta=eta)
    known = ranks(seed, num_trials, len(rungs.rounds))
    expected = all_jobs(TrialSchedule(rungs, num_trials, num_slots), known)
    schedule, arrived, under_way = TrialSchedule(rungs, num_trials, num_slots), {}, []
    under_way.extend(schedule.advance(arrived))
    while under_way:
        for _ in range(order.randint(1, len(under_way))):
            job = under_way.pop(order.randrange(len(under_way)))
            arrived[job.key] = known[job.key]
        under_way.extend(schedule.advance(arrived))
    assert schedule.is_complete
    assert [job.key for job in schedule.jobs] == expected


@settings(deadline=None, max_examples=50)
@given(searches)
def test_every_trial_is_drawn_once_and_promoted_at_most_once_from_a_rung_it_did_well_on(search):
    seed, num_trials, num_slots, num_rounds, eta = search
    rungs = ladder(num_rounds, eta=eta)
    known = ranks(seed, num_trials, len(rungs.rounds))
    jobs = all_jobs(TrialSchedule(rungs, num_trials, num_slots), known)
    assert len(set(jobs)) == len(jobs)
    assert sorted(trial for trial, rung in jobs if rung == 0) == list(range(num_trials))
    for trial, rung in jobs:
        if rung:
            assert (trial, rung - 1) in jobs
            assert known[trial, rung - 1] is not None, "promoted, but it had diverged"
    sound = [trial for trial in range(num_trials) if all(known[trial, r] is not None for r in range(rungs.top))]
    if len(sound) == num_trials:
        assert any(rung == rungs.top for _, rung in jobs), "nobody got to the top"


def test_random_search_is_decided_at_once_without_any_result():
    schedule = TrialSchedule(Ladder((10,)), 50, 4)
    assert [job.key for job in schedule.advance({})] == [(trial, 0) for trial in range(50)]
    assert schedule.is_complete


def test_nobody_waits_for_the_top_rung():
    """Trial 0 goes to the top first; its result never comes, and all else is decided and trained all the same."""
    rungs, arrived = ladder(9), {}
    schedule = TrialSchedule(rungs, 27, 4)
    while under_way := [
        j for j in schedule.jobs or schedule.advance({}) if j.key not in arrived and j.rung < rungs.top
    ]:
        arrived.update({job.key: (float(job.trial),) for job in under_way})
        schedule.advance(arrived)
    assert schedule.is_complete
    assert {trial for trial, rung in (j.key for j in schedule.jobs) if rung == rungs.top} >= {0, 1, 2}


def test_all_trials_diverge_and_the_search_still_ends():
    schedule = TrialSchedule(ladder(9), 6, 2)
    assert all_jobs(schedule, {(trial, 0): None for trial in range(6)}) == [(trial, 0) for trial in range(6)]


@pytest.mark.parametrize(
    ("arguments", "rounds"),
    [
        ((9, 1, 3), (1, 3, 9)),
        ((10, 1, 3), (1, 3, 10)),
        ((16, 1, 4), (1, 4, 16)),
        ((27, 3, 3), (3, 9, 27)),
        ((27, 1, 3, 2), (9, 27)),
        ((10, 4, 3), (10,)),
        ((1, 1, 3), (1,)),
        ((2, 1, 2), (1, 2)),
        ((100, 2, 5), (4, 20, 100)),
    ],
)
def test_rungs(arguments, rounds):
    assert ladder(*arguments).rounds == rounds


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(2, 9))
def test_rungs_rise_from_the_grace_to_the_whole(num_rounds, grace, eta):
    if grace > num_rounds:
        with pytest.raises(UsageError, match="grace"):
            ladder(num_rounds, grace, eta)
        return
    rounds = ladder(num_rounds, grace, eta).rounds
    assert rounds[0] >= grace
    assert rounds[-1] == num_rounds
    assert list(rounds) == sorted(set(rounds))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((9, 0), "grace 0: wanted 1 to 9"),
        ((9, 10), "grace 10: wanted 1 to 9"),
        ((9, 1, 1), "eta 1: wanted at least 2"),
        ((9, 1, 3, 4), "4 rungs: 3 fit between 1 and 9 rounds with eta 3"),
        ((9, 1, 3, 0), "0 rungs"),
    ],
)
def test_contradictions(arguments, words):
    with pytest.raises(UsageError, match=words):
        ladder(*arguments)


def test_rungs_that_do_not_rise_are_refused():
    for rounds in ((), (0, 1), (3, 3), (5, 2)):
        with pytest.raises(UsageError, match="each of more rounds"):
            Ladder(rounds)
