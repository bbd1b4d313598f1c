"""The last account of a run: read once all of its workers that live have written theirs."""

from __future__ import annotations

import time
from collections.abc import Callable

from nnlite.cost.account import Account
from nnlite.protocol.records.spec import RunSpec
from nnlite.store import Store
from nnlite.telemetry.reading import read_account

LOOK_EVERY_S = 0.2


def last_account(
    store: Store,
    spec: RunSpec,
    patience_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Account:
    """The account of a run that has ended, whose workers may still be about to leave.

    Each is waited for until its lease has not moved for patience_s, by default its time to live: then it is dead, and
    what it told before is all there will be. Whoever reads the account after that reads the same.
    """
    patience_s = spec.lease_ttl_s if patience_s is None else patience_s
    seen: dict[int, tuple[object, float]] = {}
    while True:
        account, now_s = read_account(store, spec), clock()
        for worker in account.going:
            lease = account.leases.get(worker)
            if worker not in seen or seen[worker][0] != lease:
                seen[worker] = (lease, now_s)
        if all(now_s - seen[worker][1] >= patience_s for worker in account.going):
            return account
        sleep(LOOK_EVERY_S)
