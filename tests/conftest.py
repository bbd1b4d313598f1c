"""Shared by all tests: helpers import each other as `tests.<folder>.<module>` from wherever pytest starts."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
