"""A trained network in one file: its weights, its description, and how its inputs were scaled."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.data import to_float
from nnlite.errors import StructureError, WeightsError
from nnlite.nn import Sequential


@dataclass(frozen=True)
class TrainedModel:
    """What `nnlite.load` gives: ready to predict, to look at, or to train on."""

    network: Sequential
    weights: NDArray[np.float32]  #: (P,), see `network.layout`
    mean: tuple[float, ...]
    std: tuple[float, ...]
    about: dict[str, str]  #: run, case, dataset, accuracy, ...

    def predict(self, x: NDArray[np.generic]) -> NDArray[np.float32]:
        """Outputs (N, K) for rows as the dataset has them: images (N, C, H, W) uint8, or vectors (N, D)."""
        outputs: NDArray[np.float32] = self.network.predict(self.weights, to_float(x, self.mean, self.std))
        return outputs


def save(path: str | os.PathLike[str], model: TrainedModel) -> None:
    """Write a model as a safetensors file. Raises StoreError when that fails; an older file stays then."""
    metadata = {
        **model.about,
        "network": json.dumps(model.network.config(), sort_keys=True),
        "scale": json.dumps({"mean": model.mean, "std": model.std}),
    }
    weights.save(path, model.weights, model.network.layout, metadata)


def load(path: str | os.PathLike[str]) -> TrainedModel:
    """Read what `save` wrote. Raises WeightsError for damaged files and those that describe no network."""
    found = weights.load(path)
    about = {k: v for k, v in found.metadata.items() if k not in ("network", "scale", "sha256")}
    try:
        network = Sequential.from_config(json.loads(found.metadata["network"]))
        scale = json.loads(found.metadata["scale"])
        mean, std = tuple(scale["mean"]), tuple(scale["std"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, StructureError):
            raise
        raise WeightsError(
            f"{path} holds weights but not their network (no {error} in its metadata): "
            "read it with nnlite.weights.load, or write it with tools.train"
        ) from None
    vector = found.vector_in(network.layout, str(path), "The file contradicts its own description.")
    return TrainedModel(network, vector.copy(), mean, std, about)
