"""Outcome: how far off a model of amounts is on the test split, which lies in the store in slices."""

from __future__ import annotations

import numpy as np

from nnlite.data import shards
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs.model_file import TrainedModel
from nnlite.runs.scores import Errors
from nnlite.runtime import shard_store
from nnlite.store import Store, open_store


def errors_of(store: Store, spec: RunSpec, model: TrainedModel) -> Errors | None:
    """Of a model that a run has trained, in the unit of the data; None where it answers classes.

    Raises DataNotFound, DataError when a slice is gone or damaged.
    """
    if model.amounts is None:
        return None
    data, wanted, found = spec.data, [], []
    place = open_store(data.store) if data.store is not None else store
    for part in range(spec.num_test_slices):
        key = shards.key(data.name, data.digest, "test", spec.num_test_slices, part)
        rows = shard_store.read(place, key)
        x = rows.x if model.inputs is not None else model.rows(rows.x)  # numbers stand there as the network wants them
        found.append(model.answer(x)[:, 0])
        wanted.append(model.amounts.restored(rows.y))
    return Errors.of(np.concatenate(wanted), np.concatenate(found))
