"""The cluster: the programs that build, push and deploy there, and the secret that signs calls."""

from __future__ import annotations

import secrets
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnlite import output
from nnlite.errors import RunError
from nnlite.invoker.openfaas.credentials import secret
from nnlite.platform.openfaas.images import STACK
from nnlite.platform.openfaas.stack_file import Wanted

SECRET = "nnlite-hmac"  # what the cluster calls it


def programs(wanted: Wanted) -> list[str]:
    """The programs that deploying needs."""
    return ["faas-cli", *([] if wanted.faasd else ["kubectl"])]


def command_lines(wanted: Wanted, stack: dict[str, Any], secret_file: Path) -> list[list[str]]:
    """What must be run in the build folder, in order."""
    gateway = ["--gateway", stack["provider"]["gateway"]]
    where = ["--namespace", wanted.namespace] if wanted.namespace else []
    lines = [] if wanted.faasd else [["kubectl", "apply", "-f", "k8s/"]]
    lines.append(["faas-cli", "secret", "create", SECRET, "--from-file", str(secret_file), *gateway, *where])
    lines += [["faas-cli", verb, "-f", STACK] for verb in ("build", "push")]
    lines.append(["faas-cli", "deploy", "-f", STACK, *gateway])
    return lines


def execute(line: list[str], folder: Path, tell: Callable[[str], None], quiet: bool = False) -> None:
    """Run one command. quiet: what it says goes to stderr. Raises RunError when it fails."""
    tell(f"$ {shlex.join(line)}")
    done = subprocess.run(line, cwd=folder, check=False, stdout=2 if quiet else None)
    if done.returncode and line[1:3] == ["secret", "create"]:  # there is one already
        return execute([*line[:2], "update", *line[3:]], folder, tell, quiet)
    if done.returncode:
        raise RunError(f"`{shlex.join(line)}` ended with code {done.returncode}; nothing after it was run")


def make_secret(path: Path) -> bool:
    """A fresh secret, unless there is one. -> whether it was made. Raises UsageError for one that cannot be used, or a
    place for none."""
    is_new = not path.exists()
    if is_new:
        output.check(path, f"--secret-file {path}")
        output.write(path, [secrets.token_hex(32).encode() + b"\n"], "the secret", mode=0o600)
    secret(str(path), {})
    return is_new
