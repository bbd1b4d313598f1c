"""nnlite: neural networks on serverless functions, in pure NumPy.

>>> import nnlite
>>> run = nnlite.train("c", dataset="fashion-sample", workers=2)    # on this machine, or platform=nnlite.Lambda()
>>> run.save("fashion.safetensors")
>>> model = nnlite.load("fashion.safetensors")                      # also what `python -m tools.train` wrote
>>> labels = model.predict(images).argmax(axis=1)                   # images: (N, C, H, W) uint8
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlite.api import Plan as Plan
    from nnlite.api import Run as Run
    from nnlite.api import attach as attach
    from nnlite.api import list_runs as list_runs
    from nnlite.api import optimize as optimize
    from nnlite.api import plan as plan
    from nnlite.api import simulate as simulate
    from nnlite.api import start as start
    from nnlite.api import train as train
    from nnlite.api import tune as tune
    from nnlite.interchange.torch_state import from_torch_state as from_torch_state
    from nnlite.interchange.torch_state import to_torch_state as to_torch_state
    from nnlite.platform.aws.functions import Lambda as Lambda
    from nnlite.platform.local import Local as Local
    from nnlite.platform.openfaas.functions import OpenFaaS as OpenFaaS
    from nnlite.protocol.averaging.protocol import Averaging as Averaging
    from nnlite.protocol.downpour.protocol import Downpour as Downpour
    from nnlite.runs.job import Job as Job
    from nnlite.runs.model_file import TrainedModel as TrainedModel
    from nnlite.runs.model_file import load as load
    from nnlite.runs.model_file import save as save

__version__ = "0.1.0"
_WHERE = {  # public name -> the module that has it
    "Averaging": "nnlite.protocol.protocols",
    "Downpour": "nnlite.protocol.protocols",
    "Job": "nnlite.runs.job",
    "Lambda": "nnlite.platform.aws.functions",
    "Local": "nnlite.platform.local",
    "OpenFaaS": "nnlite.platform.openfaas.functions",
    "Plan": "nnlite.api",
    "Run": "nnlite.api",
    "TrainedModel": "nnlite.runs.model_file",
    "attach": "nnlite.api",
    "from_torch_state": "nnlite.interchange.torch_state",
    "list_runs": "nnlite.api",
    "load": "nnlite.runs.model_file",
    "optimize": "nnlite.api",
    "plan": "nnlite.api",
    "save": "nnlite.runs.model_file",
    "simulate": "nnlite.api",
    "start": "nnlite.api",
    "to_torch_state": "nnlite.interchange.torch_state",
    "train": "nnlite.api",
    "tune": "nnlite.api",
}
__all__ = [*_WHERE]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Import what was asked for only now: a function that starts cold pays for every import."""
    if name not in _WHERE:
        raise AttributeError(f"module 'nnlite' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
