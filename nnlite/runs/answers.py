"""Answers: what a model says of the rows of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.data.own import new
from nnlite.errors import StructureError, UsageError
from nnlite.runs.model_file import TrainedModel
from nnlite.runs.scores import Errors, Scores


@dataclass(frozen=True)
class Answers:
    """Of some rows: their names, outputs (n, K), and labels (n,) where the file says them."""

    names: list[str]
    outputs: NDArray[np.float32]
    labels: NDArray[Any] | None


def answers(model: TrainedModel, paths: Sequence[str], scale: str | None = None) -> Iterator[Answers]:
    """What a model says of files: a table, arrays, pictures or folders of them, some rows at a time.

    scale: of arrays of pixels, see `TrainedModel.predict`. Raises DataNotFound, DataError and UsageError with the file
    of what is wrong.
    """
    for path in paths:
        for given in new.read(path, model.inputs, model.network.input_shape):
            try:
                rows = given.x if given.is_encoded else model.rows(given.x, scale)
            except (StructureError, UsageError) as error:
                raise UsageError(f"{path}: {error}") from None
            yield Answers(given.names, model.answer(rows), given.labels)


def score(model: TrainedModel, paths: Sequence[str], scale: str | None = None) -> Scores | Errors:
    """How good a model is at files that say their labels. Raises as `answers`, and UsageError for one that does not."""
    outputs, wanted = [], []
    if model.amounts is None and model.network.output_shape == (1,):
        raise UsageError("a model with a single output has no classes to score")
    for some in answers(model, paths, scale):
        where = some.names[0].rpartition(":")[0] or some.names[0]
        if some.labels is None:
            raise UsageError(f"{where}: no label is known: {_where(model)}")
        try:
            model.scored(some.outputs, some.labels)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        wanted.append(some.labels)
        outputs.append(some.outputs)
    return model.scored(np.concatenate(outputs), np.concatenate(wanted))


def _where(model: TrainedModel) -> str:
    if model.inputs is not None and hasattr(model.inputs, "target"):
        return f"the table needs a column {model.inputs.target!r}"
    return "an .npz needs y beside x, and pictures lie in a folder for each class"
