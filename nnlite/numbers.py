"""Numbers of NumPy among the arguments of a class, converted to Python's where they enter."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

import numpy as np

from nnlite.errors import NnliteError, UsageError


class PythonNumbers(ABCMeta):
    """Metaclass of what is described as JSON: its arguments are Python numbers, also in tuples and lists.

    A floating-point number becomes the one it is exactly: `np.float32(0.05)` is 0.05000000074505806, not 0.05.
    A scalar that is no such number raises the class's `refusal`.
    """

    refusal: type[NnliteError] = UsageError

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        """An instance, made of Python numbers."""
        plain = [cls._plain(value) for value in arguments]
        return super().__call__(*plain, **{name: cls._plain(value) for name, value in named.items()})

    def _plain(cls, value: Any) -> Any:
        if type(value) in (tuple, list):
            return type(value)(cls._plain(v) for v in value)
        if not isinstance(value, np.generic):
            return value
        for kind, python in ((np.bool_, bool), (np.integer, int), (np.floating, float), (np.str_, str)):
            if isinstance(value, kind) and not isinstance(value, np.timedelta64):
                return python(value)
        raise cls.refusal(f"{cls.__name__}: {value!r:.80} is no number of Python's: wanted an int, a float or a bool")
