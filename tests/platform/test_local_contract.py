"""This machine passes the platform contract."""

import os
import signal

import pytest

from nnlite.platform.local import Local
from tests.platform.contract import Ground, PlatformContract


class TestLocal(PlatformContract):
    @pytest.fixture
    def ground(self, tmp_path):
        return Ground(
            Local(processes=1),
            str(tmp_path / "store"),
            kill=lambda invoker: os.kill(invoker.pids()[0], signal.SIGKILL),
            held=lambda invoker: any(map(is_there, invoker.pids())),
            refused=[({"store": "memory://x"}, "processes")],
        )


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
