"""`tools.deploy --platform openfaas`: fills in the stack, puts the images' folder together, runs faas-cli."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from nnlite import cases, output, places
from nnlite.commands import _images, _named, _stack
from nnlite.commands._ask import confirm
from nnlite.commands._json import say
from nnlite.commands._spelling import command
from nnlite.errors import RunError
from nnlite.invoker import sources
from nnlite.invoker.openfaas.credentials import SECRET_FILE, secret

SECRET = "nnlite-hmac"  # what the cluster calls it
DEFAULT_SECRET, DEFAULT_BUILD = "hmac.secret", "nnlite-openfaas"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this platform."""
    group = parser.add_argument_group("with --platform openfaas")
    group.add_argument(
        "--folder", type=_named.path, metavar="DIR", help="with a stack.yaml of your own, and k8s/ (default: nnlite's)"
    )
    group.add_argument(
        "--build-dir",
        type=_named.path,
        default=DEFAULT_BUILD,
        metavar="DIR",
        help="where faas-cli builds (default %(default)s)",
    )
    group.add_argument("--faasd", action="store_true", help="one function a worker, worker-1 to worker-N, and no k8s/")
    group.add_argument("--workers", type=int, default=3, metavar="W", help="room for so many (default %(default)s)")
    group.add_argument(
        "--replicas", type=int, metavar="R", help=f"default: a worker each, at most {_stack.MAX_REPLICAS}"
    )
    group.add_argument("--memory-mb", type=int, metavar="MB", help="of a worker's function (default 1024)")
    group.add_argument("--exec-timeout", metavar="5m", help="how long one invocation may run")
    group.add_argument("--invocation", choices=["sync", "async"], help="how invocations start others")
    group.add_argument("--image-prefix", metavar="HOST/NAME", help="where images are pushed, like ghcr.io/you")
    group.add_argument("--tag", help="of the images (default latest)")
    group.add_argument("--namespace", metavar="NAME", help=f"of functions and memcached (default {_stack.NAMESPACE})")
    group.add_argument("--gateway", metavar="URL", help="default: OPENFAAS_URL, or as in stack.yaml")
    group.add_argument(
        "--secret-file",
        type=_named.path,
        metavar="FILE",
        help=f"made if it is not there (or {SECRET_FILE}; default {DEFAULT_SECRET})",
    )
    group.add_argument(
        "--data",
        type=_named.path,
        metavar="DIR",
        help="put the dataset's files into emnist-setup; else it fetches them",
    )
    for name in _stack.CHOICES:
        group.add_argument(f"--{name.replace('_', '-')}", help="of runs that emnist-setup begins")


def main(args: argparse.Namespace) -> int:
    """Check, fill in, ask, and deploy; or, without faas-cli or with --dry-run, say the commands."""
    _complete(args)
    source = Path(args.folder) if args.folder else sources.folder("faas")
    stack = _stack.filled(_stack.load(source / "stack.yaml"), args)
    _stack.check(stack, source)
    texts = {} if args.faasd else _images.manifests(source, args.namespace)
    build, secret_file = Path(args.build_dir), _secret_file(args)
    data = _data_files(args, stack)
    _images.check(build, source, stack, [*data, secret_file])
    print(_stack.describe(stack, _images.documents(texts)), file=sys.stderr)
    lines, gateway = commands(args, stack, secret_file), stack["provider"]["gateway"]
    if args.dry_run:
        _tell("planned", args, stack, lines, secret_file)
        return 0
    missing = [name for name in ("faas-cli", *([] if args.faasd else ["kubectl"])) if not shutil.which(name)]
    if not missing:
        confirm(f"build {len(stack['functions'])} functions, push them, and deploy them at {gateway}?", args.yes)
    make_secret(secret_file)
    _images.assemble(build, source, stack, texts, data)
    if missing:
        print(
            f"{' and '.join(missing)} not installed here, so nothing was deployed: run these elsewhere", file=sys.stderr
        )
        _tell("prepared", args, stack, lines, secret_file)
        return 1
    for line in lines:
        execute(line, build, quiet=args.json)
    _tell("deployed", args, stack, [], secret_file)
    return 0


def _complete(args: argparse.Namespace) -> None:
    """Options that the environment may give."""
    args.image_prefix = args.image_prefix or os.environ.get("REGISTRY")
    args.tag = args.tag or os.environ.get("TAG") or "latest"
    args.gateway = args.gateway or os.environ.get("OPENFAAS_URL")


def _secret_file(args: argparse.Namespace) -> Path:
    given = args.secret_file or os.environ.get(SECRET_FILE) or DEFAULT_SECRET
    return places.expanded(given).absolute()


def _data_files(args: argparse.Namespace, stack: dict[str, Any]) -> list[Path]:
    if args.data is None:
        return []
    chosen = stack["functions"][_stack.SETUP]["environment"]
    dataset = chosen.get("dataset") or cases.CASES[chosen["case"]].dataset
    return _images.data_files(str(dataset), Path(args.data))


def commands(args: argparse.Namespace, stack: dict[str, Any], secret_file: Path) -> list[list[str]]:
    """What is run in the build folder, in order."""
    gateway = ["--gateway", stack["provider"]["gateway"]]
    where = ["--namespace", args.namespace] if args.namespace else []
    lines = [] if args.faasd else [["kubectl", "apply", "-f", "k8s/"]]
    lines.append(["faas-cli", "secret", "create", SECRET, "--from-file", str(secret_file), *gateway, *where])
    lines += [["faas-cli", verb, "-f", _images.STACK] for verb in ("build", "push")]
    lines.append(["faas-cli", "deploy", "-f", _images.STACK, *gateway])
    return lines


def execute(line: list[str], folder: Path, quiet: bool = False) -> None:
    """Run one command. quiet: what it says goes to stderr. Raises RunError when it fails."""
    print(f"$ {shlex.join(line)}", file=sys.stderr, flush=True)
    done = subprocess.run(line, cwd=folder, check=False, stdout=2 if quiet else None)
    if done.returncode and line[1:3] == ["secret", "create"]:  # there is one already
        return execute([*line[:2], "update", *line[3:]], folder, quiet)
    if done.returncode:
        raise RunError(f"`{shlex.join(line)}` ended with code {done.returncode}; nothing after it was run")


def make_secret(path: Path) -> None:
    """A fresh secret, unless there is one. Raises UsageError for one that cannot be used, or a place for none."""
    import secrets

    if not path.exists():
        output.check(path, f"--secret-file {path}")
        output.write(path, [secrets.token_hex(32).encode() + b"\n"], "the secret", mode=0o600)
        needed = f"{command('train')} --secret-file {shlex.quote(str(path))}"
        print(f"made a secret: {path}; keep it, `{needed}` needs it", file=sys.stderr)
    secret(str(path), {})


def _tell(
    event: str, args: argparse.Namespace, stack: dict[str, Any], lines: list[list[str]], secret_file: Path
) -> None:
    """What was made, or would be; and the commands that are still to be run."""
    if args.json:
        images = {name: function["image"] for name, function in stack["functions"].items()}
        values = {"folder": str(Path(args.build_dir).absolute()), "secret_file": str(secret_file)}
        still = [shlex.join(line) for line in lines]
        say(event, gateway=stack["provider"]["gateway"], images=images, **values, commands=still)
    elif lines:
        print("\n".join([f"cd {shlex.quote(args.build_dir)}", *(shlex.join(line) for line in lines)]))
