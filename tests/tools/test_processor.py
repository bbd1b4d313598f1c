"""What a command makes of the processor: as many workers as it may use cores, and one thread of BLAS, as they have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

THREADS = """
import os
with open("threads", "w") as file:
    file.write(str(len(os.listdir("/proc/self/task"))))
"""


@pytest.mark.parametrize("argv", [("train", "--dry-run"), ("train", "--processes", 0, "--out", "w.st"),
                                  ("optimize", "--dry-run"), ("tune", "--dry-run")])  # fmt: skip
def test_a_command_times_and_trains_with_one_thread_of_blas_as_workers_do(argv, case_file):
    """Whatever the environment says of it: what is measured with many would be used with one."""
    path = case_file(layer="nn.Tanh()", more=THREADS)
    command = [sys.executable, "-m", f"tools.{argv[0]}", "--case", path, "--rounds", 1, *argv[1:]]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "8", "OMP_NUM_THREADS": "8"}
    subprocess.run([*map(str, command)], env=environment, check=True, capture_output=True)
    assert Path("threads").read_text() == "1"


def test_workers_are_spread_over_the_cores_that_the_command_may_use(case_file):
    (core, *_) = os.sched_getaffinity(0)
    command = [sys.executable, "-m", "tools.train", "--case", case_file(), "--workers", 8, "--dry-run"]
    done = subprocess.run(
        [*map(str, command)], preexec_fn=lambda: os.sched_setaffinity(0, {core}), check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    assert "1 processes of this machine" in done.stdout
