"""The cores that a process may use: real affinity, real control groups, and what those of containers look like."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from nnlite.invoker import processor

SAYS = "from nnlite.invoker import processor; print(processor.usable_cores(), processor.num_processes())"


def said(prepare) -> list[float]:
    """What a process says that has first done that to itself."""
    env = {**os.environ, "PYTHONPATH": str(Path(processor.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", SAYS], env=env, preexec_fn=prepare, capture_output=True, check=True)
    return [float(word) for word in done.stdout.split()]


def test_a_process_that_is_held_to_one_core_has_one():
    (core, *_) = os.sched_getaffinity(0)
    assert said(lambda: os.sched_setaffinity(0, {core})) == [1, 1]


@pytest.fixture
def group():
    """A control group of version 1 of our own."""
    folder = Path(f"/sys/fs/cgroup/cpu/nnlite-test-{uuid.uuid4().hex}")
    try:
        folder.mkdir()
        (folder / "cpu.cfs_period_us").write_text("100000")
    except OSError as error:
        pytest.skip(f"control groups of version 1 cannot be made here: {error}")
    yield folder
    folder.rmdir()


@pytest.mark.parametrize(("quota_us", "cores"), [(50_000, [0.5, 1]), (-1, None)])
def test_a_process_in_a_real_control_group_has_its_quota(group, quota_us, cores):
    (group / "cpu.cfs_quota_us").write_text(str(quota_us))
    found = said(lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
    assert found == (cores or [processor.usable_cores(), processor.num_processes()])


def machine(root: Path, groups: str, mounts: str, **files: str) -> Path:
    """What a machine shows of itself."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
NOT_OURS = (
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n22 1 8:1 / / rw - ext4 /dev/vda rw\n"
)


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "cores"),
    [
        ("0::/\n", V2, {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),  # a container that has a namespace of its own
        (
            "0::/a/b\n", V2,
            {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "20000 100000\n"}, 0.2,
        ),
        ("0::/a\n", V2, {"sys/fs/cgroup/a/cpu.max": "90000 100000\n", "sys/fs/cgroup/cpu.max": "70000 100000\n"}, 0.7),
        ("0::/gone/elsewhere\n", V2, {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/\n", V2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ("0::/\n", V2, {"sys/fs/cgroup/cpu.max": "nonsense\n"}, None),
        ("0::/\n", V2, {}, None),
        (
            "4:cpu,cpuacct:/docker/x\n3:cpuset:/docker/x\n", NOT_OURS + V1.replace(" / /sys", " /docker/x /sys"),
            {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "60000\n",
             "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 0.6,
        ),
        (
            "4:cpu,cpuacct:/x\n", NOT_OURS + V1,
            {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "-1\n",
             "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"}, None,
        ),
        ("nonsense", "more of it\n", {}, None),
    ],
)  # fmt: skip
def test_the_smallest_quota_of_all_groups_around_a_process_counts(tmp_path, groups, mounts, files, cores):
    root = machine(tmp_path, groups, mounts, **files)
    allowed = len(os.sched_getaffinity(0))
    assert processor.usable_cores(root) == pytest.approx(cores if cores is not None else allowed)
    assert processor.num_processes(root) == (1 if cores is not None else allowed)


def test_where_nothing_is_said_of_groups_affinity_is_all(tmp_path):
    assert processor.usable_cores(tmp_path) == len(os.sched_getaffinity(0))
