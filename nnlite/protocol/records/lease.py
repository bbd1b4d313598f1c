"""Leases: which invocation is a worker at the moment, without comparing the clocks of two machines.

A lease names the attempt and the invocation (`holder`) that acts for a worker; the holder swaps it now and then
(a beat). A watcher that has seen one version of it for longer than its time to live, by the watcher's own clock,
calls it dead and swaps in the next attempt, unheld, then invokes that attempt. One watcher wins the swap. The
old holder, if it lives after all, loses its next beat and leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nnlite.protocol.effects import FoundObject, Get, Program, Swap
from nnlite.protocol.records.keys import Attempt, Version
from nnlite.protocol.records.spec import Rates
from nnlite.protocol.records.usage import NOTHING, Usage
from nnlite.records import Amount, Count, Kept

OPEN = ""  # the holder of a lease that waits for its invocation
IDLE = "idle"  # the holder of a lease whose worker has left for want of work


@dataclass(frozen=True)
class Lease(Kept, what="a lease"):
    """The record behind `runs/{run}/leases/{worker}.json`."""

    attempt: Attempt
    holder: str
    beat: Count = 0
    since: Attempt = 1  #: so many attempts did not die: the first, those of resumed runs, and those that handed over
    cursor: Attempt = 0  #: the attempt that left a cursor when it handed over; 0: none
    before: Usage = NOTHING  #: what earlier attempts have used, as far as they told
    own: Usage = NOTHING  #: what this attempt has used, up to its last account, which comes with every beat
    is_final: bool = False  #: whether that was the last account of this attempt
    unseen_s: Amount = 0.0  #: how long attempts that died may have lasted after their last accounts
    round: Version | None = None  #: to which it has contributed last
    forgotten: Count = 0  #: how often the store has forgotten that contribution

    @property
    def used(self) -> Usage:
        """By all attempts, as far as they told."""
        return self.before + self.own

    def usd(self, rates: Rates) -> float:
        """What this worker has cost, the time that was not seen included."""
        return rates.usd(self.used, self.unseen_s)

    @property
    def deaths(self) -> int:
        """Attempts that died since the run was begun, or resumed last."""
        return self.attempt - self.since


def never_seen() -> Program[Lease | None]:
    """What is known of a lease that is not in the store: nothing."""
    yield from ()
    return None


def acquire(
    key: str,
    attempt: int,
    holder: str,
    own: Usage = NOTHING,
    last_known: Callable[[], Program[Lease | None]] = never_seen,
) -> Program[Lease | None]:
    """Become the holder, or None: this invocation is a duplicate, too late, or was never called for, and should leave.

    own: what it has used so far. last_known: asked for if there is no lease; what it then was, if anybody knows.
    """
    while True:
        found = yield Get(key)
        if found is not None:
            current = Lease.from_json(found.data, key)
            if (current.attempt, current.holder) == (attempt, holder):
                return current  # our own write, whose reply was lost
            if (current.attempt, current.holder) != (attempt, OPEN):
                return None
        else:
            current = as_of(attempt, (yield from last_known()))
            if current.attempt != attempt:
                return None
        mine = replace(current, holder=holder, beat=0, own=own)
        if (yield Swap(key, mine.to_json(key), found)):
            return mine


def as_of(attempt: int, known: Lease | None) -> Lease:
    """A lease that the store has lost, at the time of an attempt: it counts on from what was known of it last. What
    lies in between were hand-overs, as deaths are counted by the watchers that see them."""
    if known is None:
        return Lease(attempt, OPEN, since=attempt)
    if known.attempt >= attempt:
        return known
    return replace(_next(known), attempt=attempt, since=max(1, attempt - known.deaths))


def renew(key: str, lease: Lease) -> Program[Lease | None]:
    """One beat, with what else `lease` says. None: somebody else has taken over, leave.

    A lease that the store has forgotten is written again: nobody else has it.
    """
    found = yield Get(key)
    if found is None:
        return lease if (yield Swap(key, lease.to_json(key), None)) else (yield from renew(key, lease))
    current = Lease.from_json(found.data, key)
    if (current.attempt, current.holder) != (lease.attempt, lease.holder):
        return None
    beaten = replace(lease, beat=current.beat + 1)
    swapped = yield Swap(key, beaten.to_json(key), found)
    return beaten if swapped else (yield from renew(key, lease))


def hand_over(key: str, lease: Lease, has_cursor: bool) -> Program[Lease | None]:
    """Open the next attempt, as the holder, in good time. -> the lease it is now, or None when it was not ours."""
    found = yield Get(key)
    current = Lease.from_json(found.data, key) if found is not None else lease  # nobody else has it
    if (current.attempt, current.holder) != (lease.attempt, lease.holder):
        return None
    cursor = lease.attempt if has_cursor else 0
    opened = replace(_next(lease), since=lease.since + 1, cursor=cursor)
    return opened if (yield Swap(key, opened.to_json(key), found)) else None


def settle(key: str, attempt: int, holder: str, own: Usage) -> Program[None]:
    """Write the last account of an invocation into its lease, unless that is another's by now."""
    while True:
        found = yield Get(key)
        if found is None:
            return
        current = Lease.from_json(found.data, key)
        if current.attempt != attempt or current.holder not in (holder, IDLE):
            return
        last = replace(current, own=own, is_final=True, beat=current.beat + 1)
        if (yield Swap(key, last.to_json(key), found)):
            return


def take_over(
    key: str, found: FoundObject | None, anew: bool = False, unseen_s: float = 0.0, known: Lease | None = None
) -> Program[Lease | None]:
    """Open the next attempt in place of exactly the lease that was `found`; if there is none, of the one that was
    `known`, or of a first attempt that got lost. -> the lease it is now, or None when somebody was faster. `anew`
    counts deaths from this one on. `unseen_s`: how long the dead may have lasted after its last account."""
    old = Lease.from_json(found.data, key) if found else known or Lease(1, OPEN)
    opened = _next(old)
    if anew:
        opened = replace(opened, since=opened.attempt)
    if old.holder != OPEN and not old.is_final:
        opened = replace(opened, unseen_s=old.unseen_s + unseen_s)
    return opened if (yield Swap(key, opened.to_json(key), found)) else None


def _next(old: Lease) -> Lease:
    """The lease of the next attempt, which waits for its invocation."""
    return replace(
        old, attempt=old.attempt + 1, holder=OPEN, beat=0, before=old.used, own=NOTHING, is_final=False
    )  # fmt: skip


def give_back(key: str, held: Lease) -> Program[None]:
    """Open a lease that we hold, if it still is as we wrote it: others may take it at once."""
    found = yield Get(key)
    if found is not None and Lease.from_json(found.data, key) == held:
        yield Swap(key, replace(held, holder=OPEN, beat=held.beat + 1).to_json(key), found)


class Watch:
    """What one watcher has seen of leases, and since when by its own clock."""

    def __init__(self, ttl_s: float):
        self.ttl_s = ttl_s
        self._seen: dict[str, tuple[object, float]] = {}

    def is_dead(self, key: str, found: FoundObject | None, now_s: float) -> bool:
        """Whether this very version has been seen for longer than the time to live."""
        version = found.version if found else None
        seen = self._seen.get(key)
        if seen is None or seen[0] != version:
            self._seen[key] = (version, now_s)
            return False
        return now_s - seen[1] > self.ttl_s
