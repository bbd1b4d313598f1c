"""emnist-setup: an empty call begins a run and answers with its id; {"run": ID} answers with progress and result.

What to train is in `environment` in stack.yaml. A signed call may choose otherwise: {"workers": 6, "rounds": 20}.
An unsigned one may not: a caller that merely reaches the gateway can start what you chose, and nothing else.
"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # nnlite is copied into this folder

from nnlite.errors import UsageError
from nnlite.invoker.openfaas import function, signing
from nnlite.platform.openfaas import unattended
from nnlite.runs import progress
from nnlite.runtime.workers import read_spec
from nnlite.store import open_store

NURSE = progress.Nurse()  # remembers from call to call


def handle(event: Any, context: Any) -> dict[str, Any]:
    """Called by the template for every request."""
    return function.answer(event, work, may_be_unsigned=True)


def work(settings: function.Settings, heard: function.Heard) -> dict[str, Any]:
    """Begin a run, or tell of one."""
    if heard.values.keys() == {"run"}:
        return ask(settings, heard.values["run"])
    if heard.values and heard.name is None:
        raise signing.Refused("only a signed call may choose what is trained; an unsigned one has an empty body")
    return begin(settings, heard)


def begin(settings: function.Settings, heard: function.Heard) -> dict[str, Any]:
    """Put a run into the store and start its workers, which then go on by themselves. A signed call that comes again
    finds the run that it has begun."""
    dataset, spec = unattended.plan(unattended.choices(os.environ, heard.values, heard.name), settings.invocation)
    with open_store(settings.store_url()) as store:
        platform = settings.platform(spec.run, store.url, spec.sha256)
        if unattended.begin(store, spec, dataset):
            platform.start((worker, 1) for worker in range(spec.num_workers))
    return {"event": "begun", "run": spec.run, "workers": spec.num_workers, "rounds": spec.num_rounds}


def ask(settings: function.Settings, run: Any) -> dict[str, Any]:
    """Where a run stands; and see to it that it goes on."""
    if not isinstance(run, str):
        raise UsageError(f"run: wanted the id of a run, found a {type(run).__name__}")
    with open_store(settings.store_url()) as store:
        told = progress.progress(store, run)
        if told["status"] == "running":
            named = [os.environ.get(name) or None for name in ("checkpoint_store", "data_store")]
            platform = settings.platform(run, store.url, read_spec(store, run).sha256)
            NURSE.look(store, run, platform.invoke, *named)
    return {"event": "progress", **told}
