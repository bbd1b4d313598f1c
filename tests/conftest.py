"""Shared by all tests: helpers import each other as `tests.<folder>.<module>` from wherever pytest starts."""

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests import real_data  # noqa: E402  what it needs is found from here on

# A shell starts background jobs (`nohup make test &`) with SIGINT ignored, nohup adds SIGHUP, and children inherit
# that; the tests that press Ctrl-C or close a terminal need children that hear it. Handlers are not inherited, so this
# process ignores SIGHUP by one, and its children do not.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests of full datasets did not run: they are easily forgotten among dots."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(real_data.WANTS in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(
            f"tests of the full datasets that did not run: {count} ({real_data.VARIABLE}=DIR)", yellow=True
        )


# How fast a machine is says nothing about a law.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
