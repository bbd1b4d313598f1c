"""What commands say to programs: one JSON object a line on stdout, as `docs/json.md` describes them."""

from __future__ import annotations

import json
import math
from typing import Any

VERSION = 1  #: of the objects of all commands; a field that goes, or means something else, makes it another


def say(event: str, /, **values: Any) -> None:
    """Print an object. What is no number in JSON (NaN, an infinity) is null in it."""
    print(json.dumps(_finite(dict(event=event, version=VERSION, **values)), allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
