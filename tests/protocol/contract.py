"""The contract of protocols: what holds of a run of any of them, whatever is lost, doubled, late or dead.

A subclass makes the simulation of a run and says what of its end must not depend on faults; see `test_contract.py`. It
needs nothing but a protocol that is registered.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import fields, replace
from typing import Any, ClassVar

import pytest

from nnlite.errors import RunError, UsageError
from nnlite.protocol.records.head import DONE, STOPPED, Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import watcher
from nnlite.runs.job import Job
from nnlite.simulation.simulator import WATCHER, Faults, SimulatedInvocation, Simulation
from tests.protocol import toy

SEEDS = int(os.environ.get("NNLITE_SCHEDULES", "300")) // 5
BOUND_S = 3_000.0  # virtual: far above what any of these runs need, far below for ever
WORKERS = (1, 2, 3, 4)


class ProtocolContract:
    """The laws. `protocol`: the name; `lasts`: what of a run's names may stay in the store after its end."""

    protocol: ClassVar[str]
    num_rounds: ClassVar[int] = 3
    lasts: ClassVar[str] = r"spec\.json|head\.json|ckpt/\d+|rounds/\d+/summary\.json|leases/.*|evaluations/.*"

    # ---- what a subclass may say otherwise

    def spec(self, num_workers: int, **more: Any) -> RunSpec:
        """A run of the toy, short enough for thousands of them."""
        return toy.spec(num_workers, self.num_rounds, protocol=self.protocol, **more)

    def make(self, num_workers: int, seed: int = 0, faults: Faults | None = None, **more: Any) -> Simulation:
        """Its simulation, ready to run."""
        return toy.simulate(self.spec(num_workers, **more), seed, faults)

    def came_to(self, simulation: Simulation) -> Any:
        """What of a run that is over must be the same without faults: by default every byte of its result."""
        head = simulation.store[simulation.keys.head]
        result = Head.from_json(head.data, simulation.keys.head).result
        return simulation.store[simulation.keys.checkpoint(result)].data

    # ---- running

    def expected(self, num_workers: int) -> Any:
        """What a run comes to when nothing goes wrong."""
        known = vars(self).setdefault("known", {})
        if num_workers not in known:
            known[num_workers] = self.ended(self.make(num_workers))
        return known[num_workers]

    def ended(self, simulation: Simulation) -> Any:
        """What a run comes to that must end well; a failure shows the seed and the story."""
        try:
            last = simulation.run(BOUND_S)
        except RunError as error:
            self.fail(simulation, str(error))
        if last.status != DONE:
            self.fail(simulation, f"ended as {last}")
        return self.came_to(simulation)

    def fail(self, simulation: Simulation, why: str) -> None:
        """With all that helps to see it again."""
        story = "\n".join(simulation.story[-60:])
        pytest.fail(f"{self.protocol}, seed {simulation.seed}, {simulation.faults}: {why}\n{story}")

    def check(self, simulation: Simulation) -> Simulation:
        """Run it; it must come to the same as without faults."""
        if self.ended(simulation) != self.expected(simulation.spec.num_workers):
            self.fail(simulation, "came to something else than without faults")
        return simulation

    # ---- the laws of its runs

    @pytest.mark.parametrize("chunk", range(4))
    def test_any_schedule_of_faults_comes_to_the_same_end_at_a_fair_price(self, chunk):
        for seed in range(chunk, SEEDS, 4):
            num_workers = WORKERS[seed // 4 % len(WORKERS)]
            simulation = self.check(self.make(num_workers, seed, toy.schedule(seed)))
            counts = simulation.counts
            if counts["invocations"] > 20 * num_workers + 4 * counts["crashes"] + 40:
                self.fail(simulation, f"{counts['invocations']} invocations")

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("num_workers", [1, 2])
    def test_an_invocation_may_die_at_every_single_effect(self, num_workers, after):
        crashes = effect = 0
        while True:
            effect += 1
            simulation = self.check(self.make(num_workers, 1, Faults(crash_at=effect, crash_after=after)))
            if simulation.num_effects < effect:
                break
            crashes += simulation.counts["crashes"]
        assert crashes > 20 * num_workers  # the other effects were the watcher's, who lives

    def test_invocations_that_come_late_or_twice_count_once(self):
        faults = Faults(double_rate=1.0, straggler_rate=0.5, cold_start_s=20.0, clock_skew_s=600.0)
        for seed in range(SEEDS // 4):
            self.check(self.make(WORKERS[seed % len(WORKERS)], seed, faults))

    def test_an_invocation_that_comes_after_the_end_changes_no_checkpoint(self):
        simulation = self.check(self.make(2))
        simulation.drain()
        before = {key: stored.data for key, stored in simulation.store.items() if "/leases/" not in key}
        for attempt in (1, 2, 7):
            simulation.invoke(1, attempt)
            simulation.drain()
        assert {key: stored.data for key, stored in simulation.store.items() if "/leases/" not in key} == before

    def test_workers_hand_over_before_their_deadline_and_the_next_go_on(self):
        handed_over = 0
        for seed in range(12):
            faults = Faults(timeout_s=6.0, slice_s=0.2)
            simulation = self.check(self.make(WORKERS[seed % len(WORKERS)], seed, faults, hand_over_s=4.0))
            assert simulation.counts["timeouts"] == 0, f"seed {seed}"
            handed_over += simulation.counts["handed over in time"]
        assert handed_over > 0

    def test_a_run_that_was_stopped_goes_on_where_it_stood(self):
        stopped = 0
        for seed in range(24):
            simulation = self.make(1 + seed % 3, seed, Faults(double_rate=0.3))
            with contextlib.suppress(RunError):  # it goes on, as it should
                simulation.run(0.5 + 0.25 * seed)
            last = played(simulation, watcher.stop(simulation.spec.run, "paused"))
            stopped += last.status == STOPPED
            simulation.drain()
            attempts = played(simulation, watcher.reopen(simulation.spec))
            assert sorted(attempts) == list(range(simulation.spec.num_workers)), f"seed {seed}"
            watching = simulation.spec.rules.watcher(simulation.spec).program(attempts)
            again = SimulatedInvocation(WATCHER, 0, watching, None)
            simulation._push(0.0, again)
            last = simulation._go_on(simulation.now_s + BOUND_S, again)
            assert last.status == DONE, f"seed {seed}: {last}"
            assert self.came_to(simulation) == self.expected(simulation.spec.num_workers), f"seed {seed}"
        assert stopped > 5

    def test_a_finished_run_leaves_nothing_but_what_lasts(self):
        for seed, faults in enumerate((Faults(), Faults(timeout_s=6.0, slice_s=0.2), Faults(crash_rate=0.02))):
            simulation = self.check(self.make(3, seed, faults, hand_over_s=4.0))
            simulation.drain()
            names = [key.removeprefix(f"runs/{simulation.spec.run}/") for key in simulation.store]
            assert [name for name in names if not re.fullmatch(self.lasts, name)] == [], f"seed {seed}"

    # ---- the laws of the object

    def test_its_specification_is_flat_and_travels(self):
        spec = self.spec(2)
        assert RunSpec.from_json(spec.to_json(), "spec") == spec
        assert spec.rules.name == spec.protocol == self.protocol
        assert spec.rules.describe(spec).startswith(self.protocol)
        assert spec.rules.standing(spec, Head(1))

    def test_its_options_are_fields_of_a_specification_and_of_a_job(self):
        options = set(self.spec(2).rules.option_names())
        for kind in (RunSpec, Job):
            assert options <= {field.name for field in fields(kind)}
        for name, (least, most, _) in self.spec(2).rules.ranges.items():
            for value in (least - 1, most + 1):
                with pytest.raises(UsageError, match="wanted at"):
                    replace(self.spec(2), **{name: value})

    def test_no_head_is_further_than_it_says(self):
        simulation = self.make(3, 1, Faults(crash_rate=0.02, double_rate=0.3))
        last = simulation.run(BOUND_S)
        assert last.round <= simulation.spec.last_round(last.life)


def played(simulation: Simulation, program: Any) -> Any:
    """What a program comes to that runs beside the run, in no time."""
    answer = None
    while True:
        try:
            answer = simulation.perform(program.send(answer))
        except StopIteration as end:
            return end.value
