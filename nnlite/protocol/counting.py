"""Counting: from the protocol's counters, which begin at 0, to the rounds of people, 1 to n."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a specification asks its protocol, which counts
    from nnlite.protocol.records.spec import RunSpec


def number(round: int) -> int:
    """The number of a round, or of a downpour checkpoint, as people and JSON see it."""
    return round + 1


def samples_per_round(spec: RunSpec) -> int:
    """How many samples all workers together train on in a round of downpour (up to a row a worker and epoch)."""
    if spec.steps_per_round is None:
        return spec.data.num_train
    steps_per_epoch = -(-spec.data.num_train // (spec.num_workers * spec.batch_size))
    epochs, steps = divmod(spec.steps_per_round, steps_per_epoch)
    return epochs * spec.data.num_train + min(spec.data.num_train, spec.num_workers * steps * spec.batch_size)
