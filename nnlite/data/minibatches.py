"""Minibatches: the rows of a step, as a pure function of the step, so that a worker resumes anywhere."""

from __future__ import annotations

import numpy as np

from nnlite.data.augment import Augment
from nnlite.data.dataset import Split, to_float
from nnlite.errors import UsageError
from nnlite.mixed import Mixed

_AUGMENT = 1  # the last word of the seed of augmentation; a seed of three words, as for orders, ends in a 0


class Minibatches:
    """The row numbers of every step of a worker, over its own rows.

    In an epoch of `steps_per_epoch` steps every row comes exactly once; the last minibatch may be smaller.
    Each epoch of each worker has its own order: a permutation drawn from [seed, worker, epoch].

    num_rows: of the worker's shard. batch_size: rows a step. seed: of the run, in [0, 2**32), as is worker.
    Raises UsageError.
    """

    def __init__(self, num_rows: int, batch_size: int, seed: int, worker: int) -> None:
        if num_rows < 1 or batch_size < 1:
            raise UsageError(f"minibatches need rows: {num_rows} rows, batch_size {batch_size}")
        if not (0 <= seed < 2**32 and 0 <= worker < 2**32):
            raise UsageError(f"seed and worker are in [0, 2**32), not {seed} and {worker}")
        self.num_rows = num_rows
        self.batch_size = min(batch_size, num_rows)
        self.seed = seed
        self.worker = worker
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every row comes once."""
        return -(-self.num_rows // self.batch_size)

    def indices(self, step: int) -> np.ndarray:
        """The rows of a step, counted from 0 over all epochs: (n,) int64, n <= batch_size, read-only.

        Raises UsageError for a negative step.
        """
        if step < 0:
            raise UsageError(f"steps are counted from 0, not {step}")
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self.seed, self.worker, epoch]).permutation(self.num_rows)
            order.flags.writeable = False
            self._epoch, self._order = epoch, order
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]


class Batcher:
    """The minibatches themselves: gathered, augmented, as float32.

    split: the worker's rows. mean, std: as in `to_float`. augment: None for what is to be evaluated.
    Raises UsageError when the parts do not fit.
    """

    def __init__(
        self,
        split: Split,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        minibatches: Minibatches,
        augment: Augment | None = None,
    ) -> None:
        if minibatches.num_rows != len(split):
            raise UsageError(f"minibatches over {minibatches.num_rows} rows, a split of {len(split)}")
        if augment is not None and split.x.ndim != 4:
            raise UsageError(f"augmentation wants images (N, C, H, W), not {split.x.shape}")
        self._split = split
        self._mean = mean
        self._std = std
        self._minibatches = minibatches
        self._augment = augment
        shape = (minibatches.batch_size, *split.x.shape[1:])
        self._rows = np.empty(shape, split.x.dtype)
        self._x = np.empty(shape, np.float32)
        self._y = np.empty(minibatches.batch_size, split.y.dtype)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray | Mixed]:
        """The minibatch of a step: x (n, C, H, W) or (n, D) float32, y (n,) in the dtype of the split, or two of them
        where the augmentation mixes images.

        Both are buffers of this object: valid until the next call, which overwrites them.
        Augmentation is drawn from [seed, worker, step], so the same step is always the same minibatch.
        """
        indices = self._minibatches.indices(step)
        n = len(indices)
        # mode="clip" changes nothing here (no index is out of range), but "raise" would copy `out`
        rows = np.take(self._split.x, indices, axis=0, out=self._rows[:n], mode="clip")
        y = np.take(self._split.y, indices, out=self._y[:n], mode="clip")
        if self._augment is None:
            return to_float(rows, self._mean, self._std, out=self._x[:n]), y
        rng = np.random.default_rng([self._minibatches.seed, self._minibatches.worker, step, _AUGMENT])
        x = to_float(_augmented(self._augment, rows, rng), self._mean, self._std, out=self._x[:n])
        return self._augment.mix(x, y, rng) if self._augment.mixup else (x, y)


def _augmented(augment: Augment, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    augmented = augment(rows, rng)
    if augmented.shape != rows.shape or augmented.dtype != rows.dtype:
        raise UsageError(
            f"{type(augment).__name__} made {augmented.shape} {augmented.dtype} of images {rows.shape} {rows.dtype}: "
            "an augmentation keeps shape and dtype"
        )
    return augmented
