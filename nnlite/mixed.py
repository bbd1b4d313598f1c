"""Mixed targets: what a minibatch of mixed samples is to be, half this and half that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mixed:
    """Targets of samples x = share * one + (1 - share) * other. A loss of them is the same mean of its values for
    `first` and `second`, whatever loss it is (Zhang et al. 2017, arXiv:1710.09412)."""

    first: NDArray[np.generic]  #: targets (N, ...) of the ones
    second: NDArray[np.generic]  #: targets (N, ...) of the others
    share: float  #: of the ones, in [0, 1]

    def __len__(self) -> int:
        return len(self.first)
