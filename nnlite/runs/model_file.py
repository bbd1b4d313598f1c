"""A trained network in one file: its weights, its description, and what its inputs were made of and scaled by."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from nnlite import output, weights
from nnlite.case_file import CaseFile
from nnlite.data import Values, inputs, layout
from nnlite.data.dataset import num_masked
from nnlite.data.inputs import Amounts, Inputs, Table
from nnlite.data.values import network_input
from nnlite.described import UnknownClass
from nnlite.errors import RunError, StructureError, UsageError, WeightsError
from nnlite.interchange import onnx_file
from nnlite.nn import BinaryCrossEntropy, Sequential, SoftmaxCrossEntropy
from nnlite.protocol.records.spec import RunSpec
from nnlite.records import OneOf, Range, Unsound, fit, parse
from nnlite.runs import scores
from nnlite.runs.scores import Errors, Scores

OF_THE_FILE = ("network", "scale", "classes", "inputs", "amounts", "sha256")  # metadata that say nothing of a run
MOST_BYTES = 4_000_000  # of the names of classes, and of what makes rows: a table may have thousands of columns


@dataclass(frozen=True)
class InputScale:
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
class Named:
    """The names of classes, as a model file has them."""

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise UsageError("expected classes with a name of their own each")


@dataclass(frozen=True)
class TrainedModel:
    """What `nnlite.load` gives: ready to predict, to look at, or to train on."""

    network: Sequential
    weights: NDArray[np.float32]  #: (P,), see `network.layout`
    mean: tuple[float, ...]
    std: tuple[float, ...]
    about: dict[str, str]  #: run, case, dataset, accuracy, ...
    values: Values | None = None  #: what the rows it was trained on are made of; None: an older file does not say
    classes: tuple[str, ...] = ()  #: their names, in the order of the outputs; none where they have none
    inputs: Inputs | None = None  #: of a table or of numbers of one's own: what makes rows of what is given
    amounts: Amounts | None = None  #: where it answers no classes but amounts: what makes them of its outputs

    @classmethod
    def of(
        cls, network: Sequential, weights: NDArray[np.float32], spec: RunSpec, about: dict[str, str]
    ) -> TrainedModel:
        """What a run has trained. The file says the name of the case file whose classes it needs."""
        data = spec.data
        if spec.case_file is not None:
            about = {**about, "case_file": spec.case_file.name}
        values = Values(data.dtype, data.low or 0.0, data.high or 0.0) if data.dtype is not None else None
        try:
            read = inputs.read(data.inputs) if data.inputs is not None else None
            amounts = fit(Amounts, data.amounts) if data.amounts is not None else None
        except Unsound as fault:
            raise RunError(f"run {spec.run}: its specification has inputs that are none ({fault})") from None
        names = data.class_names if len(data.class_names) == network.output_shape[0] else ()
        return cls(network, weights, data.mean, data.std, about, values, names, read, amounts)

    def predict(self, x: Any, scale: str | None = None) -> NDArray[np.float32]:
        """Outputs (N, K) for rows as the dataset has them: images, vectors (N, D), or rows of a table. Where a model
        answers amounts, these, (N, 1), in the unit of the data.

        x: for a model of pixels, integers from 0 to 255 of any dtype, or floats in that range, (N, C, H, W) or
            (N, H, W, C), of grey ones also (N, H, W), or one of them; for others, integers or floats on the scale of
            the training data. For a model of a table, its rows as they are in a file: an array, lists, dicts, or a data
            frame. Byte order and memory layout do not matter.
        scale: the range of the pixels where it is another, as "0..1" or "-1..1"; it is never guessed.
        Raises StructureError for another shape, UsageError for values that are not on that scale.
        """
        return self.answer(self.rows(x, scale))

    def answer(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What `predict` answers, for rows as the network wants them."""
        outputs: NDArray[np.float32] = self.network.predict(self.weights, rows)
        return outputs if self.amounts is None else self.amounts.restored(outputs)

    def rows(self, x: Any, scale: str | None = None) -> NDArray[np.float32]:
        """What the network is given for x, see `predict`: (N, *input_shape)."""
        if isinstance(self.inputs, Table):
            if scale is not None:
                raise UsageError(f"scale={scale!r} is for models of pixels; this one was trained on a table")
            return self.inputs.rows(x)
        if masked := num_masked(x):
            raise UsageError(f"x: {masked:,} of its cells are masked: fill them (x.filled(0)), or leave such rows out")
        try:
            given = np.asarray(x)
        except ValueError as error:
            raise StructureError(f"x is no array: {error}") from None
        given = layout.batch(given, self.network.input_shape)
        self.network.check_rows(given)
        if self.inputs is None:
            return network_input(given, self.values, self.mean, self.std, scale)
        if scale is not None:
            raise UsageError(f"scale={scale!r} is for models of pixels; this one was trained on other numbers")
        return self.inputs.rows(given)

    def predict_proba(self, x: Any, scale: str | None = None) -> NDArray[np.float32]:
        """Probabilities (N, K) of the classes; of each yes or no, where a row may have several. x, scale: as `predict`.

        Raises UsageError for a model whose outputs are none, and as `predict`.
        """
        return self.probabilities(self.predict(x, scale))

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of outputs (N, K)."""
        if isinstance(self.network.loss, BinaryCrossEntropy):
            return np.asarray(0.5 + 0.5 * np.tanh(0.5 * outputs), np.float32)
        if not isinstance(self.network.loss, SoftmaxCrossEntropy):
            raise UsageError(
                f"a model that was trained with {type(self.network.loss).__name__} gives no probabilities: use predict"
            )
        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)

    def predict_labels(self, x: Any, scale: str | None = None) -> NDArray[Any]:
        """The label of each row, (N,): the name of its class, an integer where the names are whole numbers or missing,
        -1 and +1 for a single output, or the amount. x, scale: as `predict`."""
        return self.labels(self.predict(x, scale))

    def labels(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """The labels of outputs (N, K)."""
        if self.amounts is not None:
            return outputs[:, 0]
        if outputs.shape[1] == 1:
            return np.where(outputs[:, 0] > 0, 1, -1)
        best: NDArray[Any] = outputs.argmax(axis=1)
        return self._labels[best] if self.classes else best

    @property
    def _labels(self) -> NDArray[Any]:
        """What the classes are called in data: by whole numbers, if all their names are such, or by their names."""
        numbers = [int(name) for name in self.classes if re.fullmatch(r"-?\d{1,18}", name, re.ASCII)]
        return np.array(numbers if list(map(str, numbers)) == list(self.classes) else self.classes)

    def evaluate(self, x: Any, y: Any, scale: str | None = None) -> Scores | Errors:
        """How good predictions for x are, where y, (N,), says the labels: names of classes, or their numbers.

        -> `accuracy`, `log_loss`, `precision` and `recall` of each class, `confusion`; printed, a table of them. Where
        the model answers amounts, and y are such: `rmse`, `mae` and `r2`.
        Raises UsageError for labels that the model does not know, and as `predict`.
        """
        return self.scored(self.predict(x, scale), np.asarray(y))

    def scored(self, outputs: NDArray[np.float32], y: NDArray[Any]) -> Scores | Errors:
        """The same of what was predicted."""
        if self.amounts is not None:
            return Errors.of(y, outputs[:, 0])
        if outputs.shape[1] == 1:
            raise UsageError("a model with a single output has no classes to score: compare predict_labels(x) with y")
        wanted = scores.numbers(y, self.classes, outputs.shape[1])
        if len(wanted) != len(outputs):
            raise UsageError(f"y: {len(wanted):,} labels for {len(outputs):,} rows")
        is_softmax = isinstance(self.network.loss, SoftmaxCrossEntropy)
        names = self.classes or tuple(map(str, range(outputs.shape[1])))
        given = self.probabilities(outputs) if is_softmax else None
        return Scores.of(names, wanted, outputs.argmax(axis=1), given)

    def summary(self) -> str:
        """What it is: what it was trained on, its classes, and its network layer by layer."""
        lines = [f"{name:<14} {value}" for name, value in self.about.items()]
        lines.append(f"{'input':<14} {self._input()}")
        if self.classes:
            lines.append(f"{'classes':<14} {', '.join(self.classes)}")
        return "\n".join([*lines, "", self.network.summary()])

    def _input(self) -> str:
        if isinstance(self.inputs, Table):
            return f"rows of a table: {', '.join(column.name for column in self.inputs.columns)}"
        shape = ", ".join(map(str, ("N", *self.network.input_shape)))
        if self.inputs is not None:
            return f"({shape}), numbers from {self.inputs.low:g} to {self.inputs.high:g}"
        return f"({shape}), {self.values}" if self.values is not None else f"({shape})"

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
        about = {**model.about, **_known(model)}
        amounts = (model.amounts.mean, model.amounts.std) if model.amounts is not None else None
        encoded = onnx_file.encode(model.network, model.weights, _given(model), about, amounts)
        output.write(path, [encoded], "an ONNX file")
        return
    values = asdict(model.values) if model.values is not None else {}
    metadata = {
        **model.about,
        "network": json.dumps(model.network.config(), sort_keys=True),
        "scale": json.dumps({"mean": model.mean, "std": model.std, **values}),
        **_known(model),
    }
    weights.save(path, model.weights, model.network.layout, metadata)


def _is_onnx(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).lower().endswith(".onnx")


def _given(model: TrainedModel) -> onnx_file.OnnxInput:
    """What an ONNX file takes: rows as they are given to `predict`; of a table, as `rows` makes them."""
    if isinstance(model.inputs, Table):
        return onnx_file.OnnxInput("as nnlite's model.rows makes them of the rows of a table")
    if model.inputs is not None:
        return onnx_file.OnnxInput("numbers on the scale of the data", model.inputs.mean, model.inputs.std)
    is_older = model.values is None and (
        any(model.mean) or any(one != 1 for one in model.std)
    )  # only pixels are scaled
    if is_older or (model.values is not None and model.values.are_pixels):
        return onnx_file.OnnxInput.pixels(model.mean, model.std)
    return onnx_file.OnnxInput()


def _known(model: TrainedModel) -> dict[str, str]:
    """What it knows of its classes, and of what it is given, as metadata of a file."""
    classes = {"classes": json.dumps({"classes": model.classes})} if model.classes else {}
    amounts = {"amounts": json.dumps(asdict(model.amounts))} if model.amounts is not None else {}
    return classes | amounts | ({"inputs": json.dumps(model.inputs.to_json())} if model.inputs is not None else {})


def load(path: str | os.PathLike[str], case: str | os.PathLike[str] | None = None) -> TrainedModel:
    """Read what `save` wrote.

    case: the case file that defines layers of one's own, if the network has some; it is run. A module that defines
        them and was imported before will do as well.
    Raises WeightsError for damaged files and those that describe no network, StructureError when the network has
    classes that are not defined here, UsageError for a case file that is none and for an ONNX file.
    """
    if _is_onnx(path):
        raise UsageError(f"{path}: ONNX files are written and not read: name the .safetensors file of that model")
    if case is not None:
        CaseFile.read(os.fspath(case)).run()
    return _described(weights.load(path), str(path))


def decode(data: bytes, where: str) -> TrainedModel:
    """The same of bytes that are in memory."""
    return _described(weights.decode(data, where), where)


def _described(found: weights.Weights, path: str) -> TrainedModel:
    about = {name: text for name, text in found.metadata.items() if name not in OF_THE_FILE}
    missing = next((name for name in ("network", "scale") if name not in found.metadata), None)
    try:
        if missing is not None:
            raise Unsound(f"no {missing!r} in its metadata")
        network = Sequential.from_config(parse(found.metadata["network"]))
        scale = fit(InputScale, parse(found.metadata["scale"]), partial=True)
        names, read = _names(found.metadata, network), _inputs(found.metadata, network)
        amounts = _amounts(found.metadata, network)
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
    return TrainedModel(network, vector.copy(), scale.mean, scale.std, about, values, names, read, amounts)


def _amounts(metadata: dict[str, str], network: Sequential) -> Amounts | None:
    """What makes amounts of outputs, where there is such. Raises Unsound."""
    if "amounts" not in metadata:
        return None
    if network.output_shape != (1,):
        raise Unsound(f"a network of {network.output_shape[0]} outputs answers none", "amounts")
    return fit(Amounts, parse(metadata["amounts"]))


def _names(metadata: dict[str, str], network: Sequential) -> tuple[str, ...]:
    """The names of classes; none in older files. Raises Unsound."""
    if "classes" not in metadata:
        return ()
    found = fit(Named, parse(metadata["classes"], MOST_BYTES)).classes
    if len(found) != network.output_shape[0]:
        raise Unsound(f"{len(found)} classes, and a network of {network.output_shape[0]} outputs", "classes")
    return found


def _inputs(metadata: dict[str, str], network: Sequential) -> Inputs | None:
    """What makes rows of what is given; none in older files. Raises Unsound."""
    if "inputs" not in metadata:
        return None
    found, shape = inputs.read(parse(metadata["inputs"], MOST_BYTES)), network.input_shape
    if not found.fits(shape):
        raise Unsound(f"they make no rows of {shape}, which the network wants", "inputs")
    return found
