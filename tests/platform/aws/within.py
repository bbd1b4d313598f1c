"""Run a command in a fresh AWS account of this machine, with the stack deployed in it.

    python -m tests.platform.aws.within [--memory-mb 1769] [--hold] -- python -m tools.bench estimate --platform lambda

--hold: functions get the share of the processor that their memory buys, as on Lambda.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import pymemcache
import pytest

from nnlite.platform.aws import bundle as bundles
from nnlite.platform.aws.target import Target
from tests.platform.aws.account import AwsAccount, aws_account
from tests.platform.aws.cli import call
from tests.servers import CREDENTIALS, seaweedfs


def build() -> bytes:
    """The zip for this very Python, with this very NumPy."""
    target = Target(f"3.{sys.version_info.minor}", platform.machine().replace("aarch64", "arm64"))
    pinned = (f"numpy=={numpy.__version__}", f"pymemcache=={pymemcache.__version__}")
    return bundles.build(target, pinned, limit_bytes=20_000_000).data


def deploy(account: AwsAccount, folder: Path, memory_mb: int) -> None:
    path = folder / "bundle.zip"
    path.write_bytes(build())
    done = call("deploy", "--bundle", path, "--memory-mb", memory_mb, "--timeout-s", 900)
    assert done.code == 0, done.err


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory-mb", type=int, default=1769)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nnlite-aws-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        for key, value in CREDENTIALS.items():
            patch.setenv(key, value)
        with seaweedfs() as s3, aws_account(s3, folder) as account, account.logged_in():
            account.functions.holds = args.hold
            deploy(account, folder, args.memory_mb)
            environment = {**os.environ, "PYTHONPATH": os.getcwd()}
            return subprocess.run(args.command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
