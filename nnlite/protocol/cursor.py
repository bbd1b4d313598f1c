"""A cursor: where a worker stood in the middle of its work, as bytes, for the invocation that takes over from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from nnlite import weights
from nnlite.errors import WeightsError
from nnlite.protocol.effects import Model, Progress, Standing


def encode(standing: Standing, base: int) -> bytes:
    """A weights file whose metadata say where the worker stood, in round, or on checkpoint, `base`."""
    about = {
        "base": base,
        "step": standing.step,
        "trained": asdict(standing.trained),
        "scored": asdict(standing.scored),
    }
    return weights.encode(standing.model.vector, standing.model.shapes, {"cursor": json.dumps(about)})


def decode(data: Any, where: str) -> tuple[Standing, int]:
    """The standing, and its base. Raises WeightsError for anything that `encode` did not write."""
    found = weights.decode(data, where)
    try:
        about = json.loads(found.metadata["cursor"])
        trained, scored = Progress(**about["trained"]), Progress(**about["scored"])
        return Standing(Model(found.vector, found.shapes), int(about["step"]), trained, scored), int(about["base"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{where} is a weights file but no cursor: {error!r}") from None
