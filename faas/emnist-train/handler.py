"""emnist-train: one invocation of one worker of a run; whatever case it is. Calls must be signed."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # nnlite is copied into this folder

from nnlite.errors import NotFound, UsageError
from nnlite.invoker.openfaas import function
from nnlite.runtime.invocation import Payload, carry_out
from nnlite.store import open_store


def handle(event: Any, context: Any) -> dict[str, Any]:
    """Called by the template for every request."""
    return function.answer(event, work)


def work(settings: function.Settings, heard: function.Heard) -> dict[str, Any]:
    """Carry out a payload; or, with {"check": store}, say whether we could."""
    if heard.values.keys() == {"check"}:
        return check(settings, heard.values["check"])
    payload = Payload.from_values(heard.values, "the call's body")
    platform = settings.platform(payload.run, payload.store, payload.spec)
    reason = carry_out(payload, platform.invoke, settings.remaining_s())
    return {"event": "left", "worker": payload.worker, "attempt": payload.attempt, "reason": reason}


def check(settings: function.Settings, store_url: Any) -> dict[str, Any]:
    """Reach the store. Raises StoreUnavailable when there is no answer from here."""
    if not isinstance(store_url, str):
        raise UsageError(f"check: wanted the URL of a store, found a {type(store_url).__name__}")
    with open_store(store_url) as store, suppress(NotFound):
        store.get("runs/check/head.json")
    return {"event": "ready", "exec_timeout_s": settings.exec_timeout_s}
