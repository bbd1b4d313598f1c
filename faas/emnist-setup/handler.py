"""emnist-setup: an empty call begins a run and answers with its id; {"run": ID} answers with progress and result.

What to train is in `environment` in stack.yaml. A signed call may choose otherwise: {"workers": 6, "rounds": 20}.
An unsigned one may not, so whoever only reaches the gateway can start what you chose, and nothing else.
"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # nnlite is copied into this folder

from nnlite.errors import UsageError
from nnlite.platform.openfaas import function, signing
from nnlite.runtime import asked, openfaas, runs
from nnlite.store import open_store

NURSE = asked.Nurse()  # remembers from call to call


def handle(event: Any, context: Any) -> dict[str, Any]:
    """Called by the template for every request."""

    def work(settings: function.Settings, values: dict[str, Any]) -> dict[str, Any]:
        if values.keys() - {"run"} and not function.is_signed(event, settings):
            raise signing.Refused("only a signed call may choose what is trained; an unsigned one has an empty body")
        return ask(settings, str(values["run"])) if values.keys() == {"run"} else begin(settings, values)

    return function.answer(event, work, signed=os.environ.get("require_signature") == "true")


def begin(settings: function.Settings, values: dict[str, Any]) -> dict[str, Any]:
    """Put a run into the store and start its workers, who then go on by themselves."""
    chosen = {name: os.environ[name] for name in openfaas.CHOICES if os.environ.get(name)}
    dataset, spec = openfaas.plan(chosen | values, settings.invocation)
    with open_store(store_url()) as store:
        platform = settings.platform(spec.run, store.url)
        runs.begin(store, open_store(spec.data.store) if spec.data.store else store, spec, dataset)
        platform.start((worker, 1) for worker in range(spec.num_workers))
    return {"event": "begun", "run": spec.run, "workers": spec.num_workers, "rounds": spec.num_rounds}


def ask(settings: function.Settings, run: str) -> dict[str, Any]:
    """Where a run stands; and see to it that it goes on."""
    with open_store(store_url()) as store:
        told = asked.progress(store, run)
        if told["status"] == "running":
            NURSE.look(store, run, settings.platform(run, store.url).invoke)
    return {"event": "progress", **told}


def store_url() -> str:
    """Of the weights, as functions reach it. Raises UsageError."""
    if not os.environ.get("store"):
        raise UsageError("the function has no `store`: name one under `environment` in stack.yaml")
    return os.environ["store"]
