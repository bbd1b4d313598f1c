"""A trained network in one file: its weights, its description, and what its inputs were made of and scaled by."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlite import output, weights
from nnlite.case_file import CaseFile
from nnlite.data import Values
from nnlite.data.values import network_input
from nnlite.described import UnknownClass
from nnlite.errors import StructureError, UsageError, WeightsError
from nnlite.interchange import onnx_file
from nnlite.nn import Sequential
from nnlite.protocol.records.spec import RunSpec
from nnlite.records import OneOf, Range, Unsound, fit, parse


@dataclass(frozen=True)
class Scale:
    """How inputs were scaled, and what they were made of, as a model file has it; older ones do not say the latter."""

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Range(1e-30, 1e30)], ...]
    dtype: Annotated[str, OneOf(("uint8", "int8", "float32"))] | None = None
    low: float = 0.0
    high: float = 0.0

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std) or self.low > self.high:
            raise UsageError("expected as many means as standard deviations, and a range that is one")


@dataclass(frozen=True)
class TrainedModel:
    """What `nnlite.load` gives: ready to predict, to look at, or to train on."""

    network: Sequential
    weights: NDArray[np.float32]  #: (P,), see `network.layout`
    mean: tuple[float, ...]
    std: tuple[float, ...]
    about: dict[str, str]  #: run, case, dataset, accuracy, ...
    values: Values | None = None  #: what the rows it was trained on are made of; None: an older file does not say

    @classmethod
    def of(
        cls, network: Sequential, weights: NDArray[np.float32], spec: RunSpec, about: dict[str, str]
    ) -> TrainedModel:
        """What a run has trained. The file says the name of the case file whose classes it needs."""
        data = spec.data
        if spec.case_file is not None:
            about = {**about, "case_file": spec.case_file.name}
        values = Values(data.dtype, data.low or 0.0, data.high or 0.0) if data.dtype is not None else None
        return cls(network, weights, data.mean, data.std, about, values)

    def predict(self, x: ArrayLike, scale: str | None = None) -> NDArray[np.float32]:
        """Outputs (N, K) for rows as the dataset has them: images (N, C, H, W), or vectors (N, D).

        x: for a model of pixels, integers from 0 to 255 of any dtype, or floats in that range; for others, integers
            or floats on the scale of the training data. Byte order and memory layout do not matter.
        scale: the range of the pixels where it is another, as "0..1" or "-1..1"; it is never guessed.
        Raises StructureError for another shape, UsageError for values that are not on that scale.
        """
        try:
            rows = np.asarray(x)
        except ValueError as error:
            raise StructureError(f"x is no array: {error}") from None
        self.network.check_rows(rows)
        outputs: NDArray[np.float32] = self.network.predict(
            self.weights, network_input(rows, self.values, self.mean, self.std, scale)
        )
        return outputs

    @property
    def takes_pixels(self) -> bool:
        """Whether rows are pixels, which are scaled. An older file does not say, but only pixels are scaled."""
        if self.values is not None:
            return self.values.are_pixels
        return any(self.mean) or any(one != 1 for one in self.std)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as `nnlite.save` does: ``model.save("m.safetensors")``, or ``model.save("m.onnx")``."""
        save(path, self)


def check(path: str | os.PathLike[str], name: str = "") -> None:
    """Raise UsageError unless `save` can write there, see `output.check`; RunError where it lacks a package."""
    output.check(path, name)
    if _is_onnx(path):
        onnx_file.package()


def save(path: str | os.PathLike[str], model: TrainedModel) -> None:
    """Write a model as a safetensors file; where its name ends in .onnx, as an ONNX file, which `load` does not read.

    Raises StoreError when that fails; an older file stays then. RunError without the package onnx; StructureError for
    layers of one's own, which ONNX cannot have.
    """
    if _is_onnx(path):
        scale = onnx_file.Pixels(model.mean, model.std) if model.takes_pixels else None
        output.write(path, [onnx_file.encode(model.network, model.weights, scale, model.about)], "an ONNX file")
        return
    values = asdict(model.values) if model.values is not None else {}
    metadata = {
        **model.about,
        "network": json.dumps(model.network.config(), sort_keys=True),
        "scale": json.dumps({"mean": model.mean, "std": model.std, **values}),
    }
    weights.save(path, model.weights, model.network.layout, metadata)


def _is_onnx(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).lower().endswith(".onnx")


def load(path: str | os.PathLike[str], case: str | os.PathLike[str] | None = None) -> TrainedModel:
    """Read what `save` wrote.

    case: the case file that defines layers of one's own, if the network has some; it is run. A module that defines
        them and was imported before will do as well.
    Raises WeightsError for damaged files and those that describe no network, StructureError when the network has
    classes that are not defined here, UsageError for a case file that is none.
    """
    if case is not None:
        CaseFile.read(os.fspath(case)).run()
    return _described(weights.load(path), str(path))


def decode(data: bytes, where: str) -> TrainedModel:
    """The same of bytes that are in memory."""
    return _described(weights.decode(data, where), where)


def _described(found: weights.Weights, path: str) -> TrainedModel:
    about = {k: v for k, v in found.metadata.items() if k not in ("network", "scale", "sha256")}
    missing = next((name for name in ("network", "scale") if name not in found.metadata), None)
    try:
        if missing is not None:
            raise Unsound(f"no {missing!r} in its metadata")
        network = Sequential.from_config(parse(found.metadata["network"]))
        scale = fit(Scale, parse(found.metadata["scale"]), partial=True)
    except UnknownClass as error:
        file = found.metadata.get("case_file", "my_case.py")[:80]
        raise StructureError(
            f"{path} has a network with a class {error.name!r}, which is not nnlite's: name the case file that it was "
            f"trained with, nnlite.load(path, case={file!r}), or import the module that defines it before"
        ) from None
    except Unsound as fault:
        raise WeightsError(
            f"{path} holds weights but not their network ({fault}): "
            "read it with nnlite.weights.load, or write it with nnlite.save"
        ) from None
    values = Values(scale.dtype, scale.low, scale.high) if scale.dtype is not None else None
    vector = found.vector_in(network.layout, path, "The file contradicts its own description.")
    return TrainedModel(network, vector.copy(), scale.mean, scale.std, about, values)
