"""Shared by all tests: helpers import each other as `tests.<folder>.<module>` from wherever pytest starts."""

import signal
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

# A shell starts background jobs (`nohup make test &`) with SIGINT ignored, and children inherit that; the tests that
# press Ctrl-C need children that hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast a machine is says nothing about a law.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
