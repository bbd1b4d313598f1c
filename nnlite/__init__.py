"""nnlite: neural networks on serverless functions, in pure NumPy.

>>> import nnlite
>>> model = nnlite.load("fashion.safetensors")          # what `python -m tools.train` wrote
>>> labels = model.predict(images).argmax(axis=1)       # images: (N, C, H, W) uint8
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlite.protocol.averaging.protocol import Averaging as Averaging
    from nnlite.protocol.downpour.protocol import Downpour as Downpour
    from nnlite.runs.model_file import TrainedModel as TrainedModel
    from nnlite.runs.model_file import load as load
    from nnlite.runs.model_file import save as save

__version__ = "0.1.0"
_FROM_MODEL_FILE = ("TrainedModel", "load", "save")
_FROM_PROTOCOLS = ("Averaging", "Downpour")


def __getattr__(name: str) -> Any:
    """Import what was asked for only now: a function that starts cold pays for every import."""
    if name in _FROM_MODEL_FILE:
        from nnlite.runs import model_file

        return getattr(model_file, name)
    if name in _FROM_PROTOCOLS:
        from nnlite.protocol import protocols

        return getattr(protocols, name)
    raise AttributeError(f"module 'nnlite' has no attribute {name!r}")
