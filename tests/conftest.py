"""Shared by all tests: helpers import each other as `tests.<folder>.<module>` from wherever pytest starts."""

import signal
import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

# A shell starts background jobs (`nohup make test &`) with SIGINT ignored, and children inherit that; the tests that
# press Ctrl-C need children that hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)
