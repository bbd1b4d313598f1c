"""Opening a store behind a network: by a URL that also says how it is wrapped, so workers need nothing else.

s3://bucket/runs?cache=file:///tmp/near     immutable objects are kept in a near store (`store.cache`)
memcached://host:11211/runs?attempts=10     ask so often before giving up (`store.retry`)
...?fault_rate=0.05&fault_seed=7            lose 5 % of requests, or of replies, to try out a run's nerves
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from nnlite.errors import UsageError
from nnlite.store.base import Store
from nnlite.store.options import read_options
from nnlite.store.retry import Retrying
from nnlite.store.urls import shown

DEFAULTS: dict[str, Any] = {"cache": "", "attempts": 8, "fault_rate": 0.0, "fault_seed": 1}


def open_far(kind: type[Store], url: str, opener: Callable[[str], Store]) -> Store:
    """The store of class `kind` at `url`, behind `Retrying` and what else the URL asks for.

    opener: opens the near store of `cache`. Raises UsageError when the URL cannot be meant.
    """
    if "#" in url:
        raise UsageError(f"{shown(url)}: nothing that begins with # is part of a store's URL: leave it out")
    place, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    mine = [pair for pair in pairs if pair[0] in DEFAULTS]
    others = [pair for pair in pairs if pair[0] not in DEFAULTS]
    options = DEFAULTS | read_options(url, urlencode(mine), DEFAULTS)
    store = kind.from_url(f"{place}?{urlencode(others)}" if others else place)
    again = url if mine else ""
    if options["fault_rate"] > 1:
        raise UsageError(f"{shown(url)}: fault_rate={options['fault_rate']}: expected a fraction from 0 to 1")
    if options["fault_rate"]:
        from nnlite.store.faults import Faulty

        half = options["fault_rate"] / 2
        rng = random.Random(options["fault_seed"])
        store = Faulty(store, rng, lost_request_rate=half, lost_reply_rate=half)
    store = Retrying(store, attempts=options["attempts"], url=again)
    if options["cache"]:
        from nnlite.store.cache import Caching

        store = Caching(store, opener(options["cache"]), url=again)
    return store
