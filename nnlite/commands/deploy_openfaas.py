"""`tools.deploy --platform openfaas`: fills in the stack, puts the images' folder together, runs faas-cli."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from nnlite import places
from nnlite.commands import named, options
from nnlite.commands.asking import confirm
from nnlite.commands.json_lines import say
from nnlite.commands.spelling import command
from nnlite.invoker import sources
from nnlite.invoker.openfaas.credentials import SECRET_FILE
from nnlite.platform.openfaas import cluster, images, stack_file
from nnlite.platform.openfaas.stack_file import Wanted

DEFAULT_SECRET, DEFAULT_BUILD = "hmac.secret", "nnlite-openfaas"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this platform."""
    group = parser.add_argument_group("with --platform openfaas")
    group.add_argument(
        "--folder", type=named.path, metavar="DIR", help="with a stack.yaml of your own, and k8s/ (default: nnlite's)"
    )
    group.add_argument(
        "--build-dir",
        type=named.path,
        default=DEFAULT_BUILD,
        metavar="DIR",
        help="where faas-cli builds (default %(default)s)",
    )
    group.add_argument(
        "--secret-file",
        type=named.path,
        metavar="FILE",
        help=f"made if it is not there (or {SECRET_FILE}; default {DEFAULT_SECRET})",
    )
    options.add(group, Wanted, [one.name for one in fields(Wanted)])


def main(args: argparse.Namespace) -> int:
    """Check, fill in, ask, and deploy; or, without faas-cli or with --dry-run, say the commands."""
    wanted = Wanted(**options.given(args, Wanted)).completed(os.environ)
    source = Path(args.folder) if args.folder else sources.folder("faas")
    stack = stack_file.filled(stack_file.load(source / "stack.yaml"), wanted)
    stack_file.check(stack, source)
    texts = {} if wanted.faasd else images.manifests(source, wanted.namespace)
    build, secret_file = Path(args.build_dir), _secret_file(args)
    data = images.data_files(stack_file.dataset(stack), Path(wanted.data)) if wanted.data is not None else []
    images.check(build, source, stack, [*data, secret_file])
    _say(stack_file.describe(stack, images.documents(texts, _say)))
    lines, gateway = cluster.command_lines(wanted, stack, secret_file), stack["provider"]["gateway"]
    if args.dry_run:
        _tell("planned", args, stack, lines, secret_file)
        return 0
    missing = [name for name in cluster.programs(wanted) if not shutil.which(name)]
    if not missing:
        confirm(f"build {len(stack['functions'])} functions, push them, and deploy them at {gateway}?", args.yes)
    if cluster.make_secret(secret_file):
        needed = f"{command('train')} --secret-file {shlex.quote(str(secret_file))}"
        _say(f"made a secret: {secret_file}; keep it, `{needed}` needs it")
    images.assemble(build, source, stack, texts, data)
    if missing:
        _say(f"{' and '.join(missing)} not installed here, so nothing was deployed: run these elsewhere")
        _tell("prepared", args, stack, lines, secret_file)
        return 1
    for line in lines:
        cluster.execute(line, build, _say, quiet=args.json)
    _tell("deployed", args, stack, [], secret_file)
    return 0


def _secret_file(args: argparse.Namespace) -> Path:
    given = args.secret_file or os.environ.get(SECRET_FILE) or DEFAULT_SECRET
    return places.expanded(given).absolute()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
