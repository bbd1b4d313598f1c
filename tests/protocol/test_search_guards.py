"""Each guard of a search is needed: take one away, and some schedule of faults breaks a promise."""

from nnlite.errors import RunError
from nnlite.protocol.records.head import DONE
from nnlite.protocol.search.asha import Ladder, TrialSchedule, ladder
from nnlite.protocol.search.board import Board, Claim
from nnlite.protocol.search.shared import Searching
from nnlite.protocol.search.worker import SearchWorker
from nnlite.simulation.simulator import Faults
from tests.protocol.toy_trials import results, search_of, simulate

TROUBLE = Faults(crash_rate=0.02, lose_rate=0.1, double_rate=0.5, straggler_rate=0.3, cold_start_s=10.0)
BOUND_S = 3_000.0


def broken_promises(seeds=25, faults=TROUBLE, rungs=None):
    """How many schedules did not end, or not with the results of a search without faults."""
    search = search_of(9, 3, rungs or ladder(9), max_deaths=1000)
    calm = simulate(search)
    calm.run(BOUND_S)
    broken = 0
    for seed in range(seeds):
        simulation = simulate(search, seed, faults)
        try:
            last = simulation.run(BOUND_S)
            broken += last.status != DONE or scores(simulation) != scores(calm)
        except RunError:
            broken += 1
    return broken


def scores(simulation):
    return {key: data for key, data in results(simulation).items() if key.endswith("result.json")}


def test_with_all_guards_no_promise_is_broken():
    assert broken_promises() == 0


def test_without_the_schedule_promotions_depend_on_who_was_first(monkeypatch):
    """As published: a slot is free as soon as anybody is through, and what has arrived by then decides."""

    def arrived(self, known):
        there = [pair for pair in self._running if self.jobs[pair[1]].key in known]
        if self._running and not there:
            return False
        self._running.sort(key=lambda pair: pair not in there)
        self._running[:] = [(0 if pair in there else 10**9, pair[1]) for pair in self._running]
        return True

    monkeypatch.setattr(TrialSchedule, "_is_due", arrived)
    assert broken_promises() > 0


def test_without_repair_dead_workers_are_waited_for_for_ever(monkeypatch):
    def nobody(self):
        yield from ()

    monkeypatch.setattr(Searching, "staff", nobody)
    assert broken_promises(seeds=5) > 0


def test_without_claims_the_work_is_done_many_times(monkeypatch):
    def anything(self, worker, deaths):
        yield from ()
        return (self.open[0], Claim(worker, deaths)) if self.open else None

    def taken_up():
        simulation = simulate(search_of(9, 3, Ladder((4,))))
        assert simulation.run(BOUND_S).status == DONE
        return simulation.counts["TakeUp"]

    assert taken_up() == 9
    monkeypatch.setattr(Board, "claim", anything)
    assert taken_up() > 18


def test_without_forgetting_deaths_a_long_search_fails_of_many_that_were_survived(monkeypatch):
    """A run allows so many deaths of a worker in all, a search so many without a result in between."""

    def failed():
        search, count = search_of(20, 1, Ladder((2,)), max_deaths=1000), 0
        for seed in range(8):
            simulation = simulate(search, seed, Faults(crash_rate=0.02), max_attempts=12)
            count += simulation.run(BOUND_S).status != DONE
        return count

    assert failed() == 0

    def never(self):
        yield from ()

    monkeypatch.setattr(SearchWorker, "_forget_deaths", never)
    assert failed() > 0
