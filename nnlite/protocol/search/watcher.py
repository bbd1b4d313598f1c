"""The watcher of a search: the command that started it; and how a search comes to its outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from nnlite.errors import RunError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import (
    Collect,
    Create,
    DeleteMany,
    Get,
    Invoke,
    Join,
    Note,
    Now,
    Program,
    Score,
    TakeUp,
    Train,
    TrainingSums,
)
from nnlite.protocol.records import head
from nnlite.protocol.records.head import FAILED, STOPPED, Head
from nnlite.protocol.records.keys import Keys, Version
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.waiter import MORE_MEMORY, Leave
from nnlite.protocol.roles.watcher import Watcher
from nnlite.protocol.search.board import Board
from nnlite.protocol.search.result import Result, Timing, leaderboard, winner
from nnlite.protocol.search.shared import ALL_DONE, Searching
from nnlite.records import Count, Kept, Share


class SearchWatcher(Searching, Watcher):
    """Invokes workers, tells of every result, calls and replaces workers, and looks at the clock."""

    began_s = 0.0

    def program(self, attempts: dict[int, int]) -> Program[Head]:
        """Invoke `attempts` (worker -> attempt), then watch to the end. -> the last head."""
        for worker, attempt in attempts.items():
            yield Invoke(worker, attempt)
        told: set[tuple[int, int]] = set()
        self.began_s = self.pace.began_s = yield Now()
        try:
            yield from self.open_board()
            while True:
                now_head = yield from self.look()
                yield from self._tell_results(told)
                yield from self.staff()
                yield from self.wait(now_head.round)
        except Leave:
            if hasattr(self, "board"):
                yield from self.board.look()
                yield from self._tell_results(told)
            found = yield from head.read(self.spec)
            if found is None:
                gone = f"the search {self.spec.run} is no longer in the store: {MORE_MEMORY}"
                return Head(status=FAILED, reason=gone)
            return found[0]

    def between_polls(self) -> Program[None]:
        """Replace at once those whom the platform knows to be dead; look at the clock."""
        yield from super().between_polls()
        max_s = self.spec.max_s
        if max_s is not None and (yield Now()) - self.began_s > max_s:
            yield from head.end(self.keys.head, STOPPED, f"its time of {max_s:g} s is up", has_result=True)

    def _tell_results(self, told: set[tuple[int, int]]) -> Program[None]:
        """Tell of every result that was not told yet."""
        now_s = yield Now()
        for key, result in self.board.results.items():
            if key in told:
                continue
            told.add(key)
            timing = self.board.timings.get(key, Timing(-1, 0))
            yield Note("trial", {**asdict(result), **asdict(timing), "at_s": now_s - self.began_s})


@dataclass(frozen=True)
class Outcome(Kept, what="the outcome of a search"):
    """What a search came to: created once, so that the test split is looked at once."""

    trial: Count
    rung: Count
    rounds: Version
    validation_accuracy: Share
    validation_loss: float
    test_accuracy: Share
    num_test: Count


def outcome(search: str) -> Program[tuple[Outcome, list[Result]]]:
    """The outcome of a search that is over, and the leaderboard. If it was not drawn before: take the best trial,
    score it on the test split, and delete the models of the others. Raises RunError when no trial is any good."""
    board = yield from Board.of(search)
    if board is None:
        raise RunError(f"no search {search!r} in this store: check its id and store=")
    yield from board.look()
    ranking = leaderboard(board.results)
    found = yield Get(board.keys.outcome)
    if found is None:
        best = winner(board.results)
        if best is None:
            raise RunError(_no_winner(search, ranking))
        yield from _check_whole(board)
        made = yield from _score(board, best)
        found = yield Get(board.keys.outcome)  # of several commands that draw it, the first one's
    chosen = Outcome.from_json(found.data, board.keys.outcome) if found is not None else made
    useless = [board.keys.model(key) for key in board.results if key != (chosen.trial, chosen.rung)]
    if useless:
        yield DeleteMany(tuple(useless))
    return chosen, ranking


def _check_whole(board: Board) -> Program[None]:
    """Raise RunError if the search came to its end, and the store has forgotten what some trial came to."""
    key = Keys(board.search.search).head
    found = yield Get(key)
    is_done = found is not None and Head.from_json(found.data, key).reason == ALL_DONE
    if is_done and not board.is_over:
        lost = board.keys.result(board.open[0].key)
        raise RunError(f"the result {lost} is not in the store any more: {MORE_MEMORY}; begin the search anew")


def _score(board: Board, best: Result) -> Program[Outcome]:
    """Score the best on the test split, and create the outcome. -> it"""
    key = board.keys.trial(best.trial)
    found = yield Get(key)
    if found is None:
        raise RunError(f"the specification of the best trial, {key}, is not in the store any more: begin it anew")
    trial = RunSpec.of_run(board.keys.trial_run(best.trial), found.data, key)
    where = board.keys.model(best.key)
    step = best.rounds * (trial.steps_per_round or 1)
    model = yield Get(where)
    data = model.data if model is not None else (yield from _train_again(trial, best, step, where))
    yield TakeUp(replace(trial, data=board.search.test))
    yield Join(data, where, step, ())
    scored = TrainingSums(False, 0, 0.0)
    while not scored.finished:
        scored = yield Score(1.0)
    accuracy, loss = best.accuracy or 0.0, best.loss or 0.0
    test_accuracy = scored.num_correct / max(1, scored.num_samples)
    made = Outcome(best.trial, best.rung, best.rounds, accuracy, loss, test_accuracy, scored.num_samples)
    yield Create(board.keys.outcome, made.to_json(board.keys.outcome))
    return made


def _train_again(trial: RunSpec, best: Result, step: int, where: str) -> Program[bytes]:
    """The model of the best trial, which the store has forgotten: the same weights come of the same steps."""
    yield Note("forgotten", {"model": where})
    yield TakeUp(trial)
    trained = TrainingSums(False, 0, 0.0)
    while not trained.finished:
        trained = yield Train(1.0, step)
    data = contribution.encode((yield Collect()), Tally(best.num_samples), where)
    yield Create(where, data)
    return data


def _no_winner(search: str, ranking: list[Result]) -> str:
    if not ranking:
        return f"search {search} ended before its first trial did: give it more time, or a larger budget"
    return (
        f"search {search} has no winner: all of its {len(ranking)} trials diverged or failed ({ranking[0].reason}); "
        "try a space with smaller learning rates"
    )
