"""Durable checkpoints: what survives when the run's own store forgets (memcached restarted, or evicted an object).

Every `checkpoint_every` versions, and at the end, head and checkpoint are copied to a second store. Whoever finds the
run's head or its newest checkpoint gone puts the newest copy back, and everybody goes on from there.

What comes back may be a new *life* of the run (`Protocol.reborn`): in Downpour versions and seqs go on from the next
multiple of `LIFE`, so nothing that a worker of the old life still writes can be taken for something of the new one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nnlite.protocol.effects import Create, Delete, FoundObject, Get, Program, Swap
from nnlite.protocol.records.head import FAILED, RUNNING, STOPPED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec


def keep(spec: RunSpec, now_head: Head, data: Any) -> Program[None]:
    """Copy a head that stands, and the checkpoint it shows, if it is time to; the copy before the last goes."""
    if spec.checkpoint_store is None or not (spec.is_kept(now_head.round) or now_head.status != RUNNING):
        return
    keys = Keys(spec.run)
    yield Create(keys.checkpoint(now_head.round), data, durable=True)
    while True:
        found: FoundObject | None = yield Get(keys.head, durable=True)
        old = Head.of_run(spec, found.data) if found else None
        if old is not None and _rank(old) >= _rank(now_head):
            return
        # who tried to restore the run, and was not the first, has counted a life here that the run does not live
        copy = replace(now_head, life=max(now_head.life, old.life)) if old is not None else now_head
        if (yield Swap(keys.head, copy.to_json(keys.head), found, durable=True)):
            break
    if old is not None and old.round != now_head.round:
        yield Delete(keys.checkpoint(old.round), durable=True)
        for version in superseded(spec, old.round)[:1]:  # in case who kept the last one died before it had deleted it
            yield Delete(keys.checkpoint(version), durable=True)


def _rank(head: Head) -> tuple[int, bool, int]:
    """What is newer has more: rounds go on counting through all lives."""
    return head.round, head.status != RUNNING, head.counter


def superseded(spec: RunSpec, version: int) -> list[int]:
    """The last two versions before this one that were copied, if all went well; the newer first."""
    every = spec.checkpoint_every
    newest = (version - 1) // every * every
    return [one for one in (newest, newest - every) if one >= 0]


def reopen(spec: RunSpec) -> Program[None]:
    """Let the copy of a stopped or failed run go on as well."""
    keys = Keys(spec.run)
    found = (yield Get(keys.head, durable=True)) if spec.checkpoint_store is not None else None
    if found is not None:
        kept = Head.of_run(spec, found.data)
        if kept.status in (STOPPED, FAILED):
            again = replace(kept.reopened(), counter=kept.counter + 1)
            yield Swap(keys.head, again.to_json(keys.head), found, durable=True)


def restore(spec: RunSpec) -> Program[Head | None]:
    """Put the run back into its store. -> the head it goes on from; None when there is no copy."""
    keys = Keys(spec.run)
    while True:
        standing = yield from _standing(spec)
        if standing is not None:
            return standing  # somebody was faster
        copy = yield Get(keys.head, durable=True)
        if copy is None:
            return None
        back = Head.of_run(spec, copy.data)
        found = yield Get(keys.checkpoint(back.round), durable=True)
        if found is None:
            if (yield Get(keys.head, durable=True)) != copy:
                continue  # between our two looks there was a newer copy, and this one went
            return None
        back = replace(back, life=back.life + 1, counter=back.counter + 1)
        if (yield Swap(keys.head, back.to_json(keys.head), copy, durable=True)):  # so no life is ever lived twice
            return (yield from _put_back(spec, keys, back, found.data))


def _standing(spec: RunSpec) -> Program[Head | None]:
    """The head, if it stands on a checkpoint that is there, or moves on."""
    keys = Keys(spec.run)
    found = yield Get(keys.head)
    while found is not None:
        head = Head.of_run(spec, found.data)
        if head.status != RUNNING or (yield Get(keys.checkpoint(head.round))) is not None:
            return head
        before, found = found, (yield Get(keys.head))
        if found == before:
            return None
    return None


def _put_back(spec: RunSpec, keys: Keys, back: Head, data: Any) -> Program[Head]:
    """Swap in a head with a life of its own, unless somebody else has restored the run. -> the head that stands"""
    kept = back
    if back.status == RUNNING:
        back, data = spec.rules.reborn(spec, back, data)
    has_number = back.round != kept.round  #: whether the checkpoint has a number of its own life
    yield Create(keys.spec, spec.to_json())
    yield Create(keys.checkpoint(back.round), data)
    while True:
        found = yield Get(keys.head)
        standing = yield from _standing(spec)
        if standing is not None:
            if has_number and standing.life != back.life:
                yield Delete(keys.checkpoint(back.round))  # of a life that nobody lives
            return standing
        if found is not None:
            old = Head.of_run(spec, found.data)
            back = replace(back, counter=max(back.counter, old.counter) + 1)
        if (yield Swap(keys.head, back.to_json(keys.head), found)):
            return back
