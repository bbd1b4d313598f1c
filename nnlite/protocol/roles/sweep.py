"""Sweeping: deleting what a run that is done no longer needs, and what those left who died before they deleted it.

Who moves a run on deletes what lies behind. If it dies in between, some objects stay: their names follow from the
specification, so they can be deleted without being listed. In a very long run, only the newest names are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from nnlite.protocol.effects import Delete, DeleteMany, Get, GetMany, Program
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import LIFE, Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.durable import superseded

MOST = 10_000  # names; in a memcached each is a request
HANDFUL = 1_000
NEWEST_ROUNDS = 4  # that are swept in any case


def sweep(spec: RunSpec, last: Head) -> Program[None]:
    """Sweep a run whose last head this is; thoroughly, if any of its invocations was replaced, or handed over."""
    keys = Keys(spec.run)
    leases = yield from _leases(spec, keys)
    rounds = spec.rules.merged_rounds(last)
    names = list(_of_newest_rounds(spec, keys, last, rounds[:NEWEST_ROUNDS]))
    if any(lease.attempt > 1 for lease in leases.values()):
        cursors = (keys.cursor(w, attempt) for w, lease in leases.items() for attempt in range(1, lease.attempt + 1))
        older, others = _nodes(spec, keys, rounds[NEWEST_ROUNDS:]), spec.rules.left_over(spec, keys, last)
        names += islice(chain(cursors, _checkpoints(spec, keys, last), older, others), MOST)
        if spec.checkpoint_store is not None and (yield from _is_copied(spec, keys, last)):
            for version in superseded(spec, last.round):
                yield Delete(keys.checkpoint(version), durable=True)
    for first in range(0, len(names), HANDFUL):
        yield DeleteMany(tuple(names[first : first + HANDFUL]))


def _is_copied(spec: RunSpec, keys: Keys, last: Head) -> Program[bool]:
    """Whether the checkpoint store has the result, so that the copies before it are of no use."""
    found = yield Get(keys.head, durable=True)
    return found is not None and Head.of_run(spec, found.data).round == last.round


def _leases(spec: RunSpec, keys: Keys) -> Program[dict[int, Lease]]:
    names = tuple(keys.lease(worker) for worker in range(spec.num_workers))
    found = yield GetMany(names)
    return {w: Lease.from_json(one.data, names[w]) for w, one in enumerate(found) if one is not None}


def _of_newest_rounds(spec: RunSpec, keys: Keys, last: Head, rounds: range) -> Iterator[str]:
    """Contributions of the last rounds, and the checkpoint that only they needed."""
    yield from _nodes(spec, keys, rounds)
    if last.round >= 2 and not spec.keeps(last.round - 2):
        yield keys.checkpoint(last.round - 2)


def _nodes(spec: RunSpec, keys: Keys, rounds: range) -> Iterator[str]:
    for round in rounds:
        yield from (keys.node(round, *place) for place in spec.tree.nodes())


def _checkpoints(spec: RunSpec, keys: Keys, last: Head) -> Iterator[str]:
    """The checkpoints of this life, but for the newest two and those that must stay."""
    versions = range(last.round - 2, last.round // LIFE * LIFE - 1, -1)
    return (keys.checkpoint(version) for version in islice(versions, MOST // 4) if not spec.keeps(version))
