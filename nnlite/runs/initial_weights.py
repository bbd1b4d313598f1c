"""Starting: the weights that a run begins with: drawn from its seed, or somebody's file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nnlite import places, weights
from nnlite.errors import NotFound, RunError, StoreError
from nnlite.protocol.effects import Model
from nnlite.protocol.records.spec import RunSpec
from nnlite.runtime import trainer
from nnlite.store import Store

HINT = "Was it trained with another case=, or on another dataset? The run has to have the same network."


@dataclass(frozen=True)
class First:
    """A file of weights for a run's beginning, named by its content."""

    data: bytes
    digest: str


def read(path: str, spec: RunSpec) -> First:
    """A file of weights for the network of `spec`. Raises DataNotFound, WeightsError, or StructureError for those of
    another network."""
    found = weights.load(path)
    network, _ = trainer.build(spec)
    found.vector_in(network.layout, path, HINT)
    try:
        data = places.expanded(path).read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from None
    return First(data, digest(data))


def digest(data: bytes) -> str:
    """The name of a file of weights by its content."""
    return hashlib.sha256(data).hexdigest()[:32]


def key(spec: RunSpec) -> str:
    """Where that file lies in the run's store; created once, before the run is."""
    return f"runs/{spec.run}/init/{spec.init}"


def model(store: Store, spec: RunSpec) -> Model:
    """What checkpoint 0 holds. Raises RunError when the store has lost the file."""
    first = trainer.initial(spec)
    if spec.init is None:
        return first
    try:
        data = store.get(key(spec)).data
    except NotFound:
        raise RunError(f"{key(spec)} is not in {store.url} any more: begin the run anew, by init=FILE") from None
    if digest(data) != spec.init:
        raise StoreError(f"{key(spec)} in {store.url} is not the file that is named by its content: begin the run anew")
    found = weights.decode(data, key(spec))
    network, _ = trainer.build(spec)
    first.vector[: network.layout.size] = found.vector_in(network.layout, key(spec), HINT)
    return first
