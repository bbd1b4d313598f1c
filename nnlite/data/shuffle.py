"""A permutation that is the same on every machine and every version of NumPy.

`Generator.permutation` may change its stream between releases of NumPy; the raw stream of a bit generator
may not (NEP 19). Workers and drivers of different versions must agree on which row is in which shard.
"""

import numpy as np


def permutation(num_rows: int, seed: int) -> np.ndarray:
    """A permutation of range(num_rows): (num_rows,) int64, a pure function of its arguments."""
    raw = np.random.PCG64(seed).random_raw(num_rows)
    return np.argsort(np.asarray(raw, dtype=np.uint64), kind="stable")
