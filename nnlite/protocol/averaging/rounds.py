"""Rounds: every worker contributes, the last to arrive merges.

A round r begins with checkpoint r. Every worker trains on its shard, creates its contribution, and climbs the
merge tree: *if all children of my parent node are there, merge them and create the node; else leave it to the
last one.* Each writes before it looks, so the last arriver always sees everything, and nobody is appointed to
wait. Who creates the root closes the round: checkpoint r+1, then the head.

The last round only scores: it closes with the test accuracy of the final checkpoint.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nnlite.protocol.averaging import closing, contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import Create, DeleteMany, Get, GetMany, Note, Now, Program
from nnlite.protocol.records import head
from nnlite.protocol.records.head import DONE, RUNNING, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import durable
from nnlite.weights import Weights


class Rounds:
    """The steps of a synchronous round: contribute, merge up the tree, close. Used by workers, and by waiters that
    repair a stalled round."""

    def __init__(self, spec: RunSpec):
        self.spec, self.keys, self.tree = spec, Keys(spec.run), spec.tree
        self.mover: Lease | None = None  #: our lease, if it is to stand in a head that we move
        self.lost: int | None = None  #: the round that could not be closed, as the checkpoint it began with is gone
        self.began_s: float | None = None  #: when the round began for us, by our clock; people like to know

    # ---- climbing

    def leaf(self, round: int, worker: int) -> str:
        """The key of a worker's contribution."""
        return self.keys.node(round, self.tree.leaf_level, worker)

    def climb(self, round: int, level: int, node: int, data: Any, is_again: bool = False) -> Program[bool]:
        """Merge upwards from a node that is there; close the round on reaching the root. -> whether we did

        Of several who saw all parts of a node, the one who created it goes on; `is_again`, where that may have been
        an earlier attempt of ours, we do in any case.
        """
        while level > 0:
            parent = self.tree.parent(level, node)
            parts = yield from self._siblings(round, level, node, self.tree.children(level - 1, parent), data)
            if parts is None:
                return False
            level, node = level - 1, parent
            key = self.keys.node(round, level, node)
            data = self.merged(parts, key)
            if is_again:
                data = yield from self._create(key, data)
            elif not (yield Create(key, data)):
                return False
            yield from self._collect(round - 2, level, node)
        yield from self.close(round, data)
        return True

    def merged(self, parts: dict[str, Any], key: str) -> bytes:
        """What is merged of encoded contributions (by their keys, in order), as the bytes for `key`: same parts, same
        bytes, by whichever worker."""
        return contribution.merge(parts, key)

    def _siblings(
        self, round: int, level: int, node: int, siblings: range, data: Any
    ) -> Program[dict[str, Any] | None]:
        """What all children of my parent made, by key and in order, or None while one is missing.

        My neighbour is asked for first, so that a worker that is not among the last finds a gap with one small request;
        if it is there, the others come in one go.
        """
        others = [*siblings[siblings.index(node) + 1 :], *siblings[: siblings.index(node)]]
        keys = {n: self.keys.node(round, level, n) for n in siblings}
        parts = {keys[node]: data}
        for asked in filter(None, (others[:1], others[1:])):
            found = yield GetMany(tuple(keys[n] for n in asked))
            if any(f is None for f in found):
                return None
            parts.update((keys[n], f.data) for n, f in zip(asked, found, strict=True))
        return {key: parts[key] for key in keys.values()}

    # ---- closing

    def close(self, round: int, data: Any) -> Program[None]:
        """With the root of `round` there: create the next checkpoint and move the head."""
        where = self.keys.node(round, 0, 0)
        root, tally = contribution.decode(data, where)
        following = self._after(round, tally)
        seconds = (yield Now()) - self.began_s if self.began_s is not None else None
        key = self.keys.summary(round)
        yield Create(key, contribution.summary(round, tally, tally.accuracy_of(self.spec), seconds).to_json(key))
        if following.status == RUNNING:  # the others go on as soon as they see it, so it comes after the summary
            data = yield from self._checkpoint_after(round, root, tally)
            if data is None:
                self.lost = round
                return
            yield Create(self.keys.checkpoint(round + 1), data)

        def moved(now: Head) -> Head:
            if now.round > round or now.status != RUNNING:
                return now  # a zombie closing an old round, or a run that was stopped meanwhile
            reason = now.closing or following.reason
            after = replace(now, round=following.round, status=following.status, reason=reason)
            return replace(after, result=following.result, accuracy=following.accuracy).moved_by(self.mover)

        stands = yield from head.change(self.keys.head, moved)
        if stands is not None:
            yield Note("closed", {"round": round, "status": stands.status})
            yield from self._keep(round, stands, data)
            yield from self._collect_root(min(round, stands.round) - 2)

    def _checkpoint_after(self, round: int, root: Weights, tally: Tally) -> Program[bytes | None]:
        """The checkpoint that a round ends with. None when the one it began with is gone, and cannot be made again."""
        key = self.keys.checkpoint(round + 1)
        if not closing.is_more(self.spec):
            return contribution.under(root, key)
        where = self.keys.checkpoint(round)
        found = yield Get(where)
        if found is None and (yield from self.remake(round)):
            found = yield Get(where)
        if found is None:
            found = yield Get(key)  # who closed the round has died before moving the head
            return found.data if found is not None else None
        before, _ = contribution.decode(found.data, where)
        return closing.close(before, root, tally, key, round + 1, self.spec)

    def _keep(self, round: int, stands: Head, data: Any) -> Program[None]:
        """Copy what a closed round led to into the durable store, when it is time to: the checkpoint in `data`, or,
        once all is over, the result."""
        if stands.status != RUNNING:
            yield from self.keep_result(stands)
        elif self.spec.rules.has_rounds and stands.round == round + 1:
            yield from durable.keep(self.spec, stands, data)

    def keep_result(self, stands: Head) -> Program[None]:
        """Copy the head of a run that is over, and its checkpoint, into the durable store, if there is one."""
        if self.spec.checkpoint_store is None or stands.status == RUNNING:
            return
        found = yield Get(self.keys.checkpoint(stands.round))
        if found is not None:
            yield from durable.keep(self.spec, stands, found.data)

    def _after(self, round: int, tally: Tally) -> Head:
        """Where the head of a running `round` moves, as a function of what came out of it."""
        target, accuracy = self.spec.target_accuracy, tally.accuracy_of(self.spec)
        if round >= self.spec.num_rounds or not self.spec.rules.has_rounds:
            return Head(round, DONE, "all rounds done", round, accuracy)
        if target is not None and accuracy is not None and accuracy >= target:
            return Head(round, DONE, f"reached test accuracy {accuracy:.4f}", round, accuracy)
        return Head(round + 1)

    # ---- collecting

    def _collect(self, old: int, level: int, node: int) -> Program[None]:
        """Having merged a node: delete what was merged at this place two rounds before. Whoever still works there
        writes to names that nobody will read."""
        if old < 0:
            return
        below = [self.keys.node(old, level + 1, child) for child in self.tree.children(level, node)]
        yield DeleteMany(tuple(below))

    def _collect_root(self, old: int) -> Program[None]:
        """Having closed a round: delete the root, and the checkpoint, of two rounds before."""
        if old >= 0:
            checkpoint = () if self.spec.keeps(old) else (self.keys.checkpoint(old),)
            yield DeleteMany((self.keys.node(old, 0, 0), *checkpoint))

    # ---- repairing

    def missing(self, round: int) -> Program[list[int]]:
        """Finish what dead mergers left of `round`, from the top down. -> the workers whose contributions
        are not there; none, if the round is closed now. A quorum of the others is enough to close it."""
        missing: list[int] = []
        data = yield from self._rebuild(round, 0, 0, missing)
        if data is None and missing:  # meanwhile others may have come, and left to us what we have merged
            missing.clear()
            data = yield from self._rebuild(round, 0, 0, missing)
        if data is None and self.spec.quorum is not None and self.spec.num_workers - len(missing) >= self.spec.quorum:
            data = yield from self._rebuild(round, 0, 0, [], is_enough=True)
        if data is not None:
            yield from self.close(round, data)
        return missing

    def remake(self, version: int) -> Program[bool]:
        """Create a checkpoint again that the store has lost, while what it was merged of is there. -> whether we could

        With a quorum its parts may have become more meanwhile: then only the root itself will do.
        """
        if version == 0:
            return False
        if self.spec.quorum is None:
            data = yield from self._rebuild(version - 1, 0, 0, [])
        else:
            found = yield Get(self.keys.node(version - 1, 0, 0))
            data = found.data if found is not None else None
        if data is None:
            return False
        root, tally = contribution.decode(data, self.keys.node(version - 1, 0, 0))
        made = yield from self._checkpoint_after(version - 1, root, tally)
        if made is None:
            return False
        yield Create(self.keys.checkpoint(version), made)
        return True

    def _rebuild(self, round: int, level: int, node: int, missing: list[int], is_enough: bool = False) -> Program[Any]:
        """A node, merged if it has to be; None if something below is missing, or, when what there `is_enough`,
        everything."""
        key = self.keys.node(round, level, node)
        found = yield Get(key)
        if found is not None:
            return found.data
        if level == self.tree.leaf_level:
            missing.append(node)
            return None
        there, children = dict[str, Any](), self.tree.children(level, node)
        for child in children:
            part = yield from self._rebuild(round, level + 1, child, missing, is_enough)
            if part is not None:
                there[self.keys.node(round, level + 1, child)] = part
        if not there or (len(there) < len(children) and not is_enough):
            return None
        data = yield from self._create(key, self.merged(there, key))
        yield from self._collect(round - 2, level, node)
        return data

    def _create(self, key: str, data: Any) -> Program[Any]:
        """Create a merged node. -> what stands there: with a quorum, others may have merged fewer parts."""
        if not (yield Create(key, data)) and self.spec.quorum is not None:
            found = yield Get(key)
            return found.data if found is not None else data
        return data
