"""`tools.deploy --platform lambda`: builds the bundle, and makes, changes or removes the stack."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from nnlite import output
from nnlite.commands import named, options, which_stack
from nnlite.commands.asking import confirm
from nnlite.commands.follow_up import follow_up
from nnlite.commands.json_lines import say
from nnlite.errors import UsageError
from nnlite.platform.aws import bundle as bundles
from nnlite.platform.aws import deployment
from nnlite.platform.aws.deployment import WantedFunction
from nnlite.platform.aws.stack import Stack

ALWAYS = {"platform", "json", "debug"}
ALONE = {"out": "bundle_only", "yes": "delete"}  # options of one of those
HEEDED = {  # what else than deploying there is to do -> the options that it heeds
    "bundle_only": {"python", "arch", "out"},
    "delete": {"stack_name", "region", "profile", "dry_run", "yes"},
}


def main(args: argparse.Namespace) -> int:
    """Build, upload, create or update; or delete."""
    _refuse_idle(args)
    wanted = WantedFunction(**options.given(args, WantedFunction))
    wanted.check()
    if args.bundle_only:
        return _write_bundle(wanted, args)
    stack = which_stack.stack_of(args)
    _say(f"account {stack.account.number}, region {stack.account.region}, stack {stack.name}")
    return _delete(stack, args) if args.delete else _deploy(stack, wanted, args)


def _deploy(stack: Stack, wanted: WantedFunction, args: argparse.Namespace) -> int:
    standing = stack.standing()
    if standing is not None:
        stack.check_can_change(standing)
    if standing is not None and standing.status == "REVIEW_IN_PROGRESS":
        standing = None  # somebody proposed it, and left it at that
    before = dict(standing.parameters) if standing else {}
    bundle = deployment.bundle_for(wanted, args.bundle, before, _say)
    parameters = wanted.parameters(before, bundle, is_from_file=args.bundle is not None)
    if args.dry_run:
        return _show_changes(stack, before, parameters, args)
    deployment.deploy(stack, standing is None, bundle, parameters, _say)
    _show_outputs(stack, args)
    return 0


def _show_changes(stack: Stack, before: dict[str, str], parameters: dict[str, str], args: argparse.Namespace) -> int:
    """--dry-run: what would be done, on stdout."""
    changes = deployment.proposed(stack, parameters)
    both = sorted(parameters.keys() & before.keys())
    other = {name: [before[name], parameters[name]] for name in both if parameters[name] != before[name]}
    if args.json:
        policy = deployment.policy(stack)
        say("planned", stack=stack.name, changes=changes.changes, parameters=other, policy=policy)
        return 0
    print("nothing would change" if changes.is_empty else "\n".join(changes.changes))
    for name, (old, new) in other.items():
        print(f"{name}: {old} -> {new}")
    print("\nthe function's role would be allowed, and nothing else:\n")
    print(deployment.policy(stack))
    print("\nnothing was changed (--dry-run)")
    return 0


def _show_outputs(stack: Stack, args: argparse.Namespace) -> None:
    outputs = dict(stack.outputs())
    if args.json:
        say("deployed", stack=stack.name, **outputs)
        return
    for name, value in sorted(outputs.items()):
        print(f"{name.lower():<10} {value}")
    more = ("--platform", "lambda", "--case", "b", "--workers", 4, "--budget-usd", 1)
    print(f"try        {follow_up('train', args, *more)}")


def _delete(stack: Stack, args: argparse.Namespace) -> int:
    count, bucket = deployment.contents(stack), deployment.bucket_of(stack).name
    what = f"the stack {stack.name} in {stack.account.region}, with {count} objects of runs and data in {bucket}"
    if args.dry_run:
        _tell_of_deletion("would_delete", f"would delete {what}; nothing was deleted (--dry-run)", stack, count, args)
        return 0
    confirm(f"delete {what}?", args.yes)
    deployment.delete(stack, _say)
    _tell_of_deletion("deleted", f"deleted: the stack {stack.name} and all that it made", stack, count, args)
    return 0


def _tell_of_deletion(event: str, text: str, stack: Stack, count: int, args: argparse.Namespace) -> None:
    _say(text)
    if args.json:
        say(event, stack=stack.name, objects=count)


def _write_bundle(wanted: WantedFunction, args: argparse.Namespace) -> int:
    target = wanted.target()
    out = Path(args.out or f"nnlite-{target.runtime}-{target.architecture}.zip")
    output.check(out, f"--out {out}")
    bundle = bundles.build(target)
    output.write(out, [bundle.data], "a bundle")
    if args.json:
        say("built", file=str(out), sha256=bundle.digest, bytes=len(bundle.data))
    else:
        print(f"{out}: {bundle.describe()}")
    return 0


def _refuse_idle(args: argparse.Namespace) -> None:
    """Raise UsageError for an option that would do nothing."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    defaults = vars(parser.parse_args([])) | {"dry_run": False, "yes": False}
    given = {name for name, usual in defaults.items() if getattr(args, name) != usual} - ALWAYS
    asked = [name for name in HEEDED if name in given]
    if len(asked) > 1:
        raise UsageError("--bundle-only and --delete: one thing at a time")
    idle = sorted(given - {asked[0]} - HEEDED[asked[0]] if asked else given & ALONE.keys())
    if idle:
        what = f"{'with' if asked else 'without'} --{(asked[0] if asked else ALONE[idle[0]]).replace('_', '-')}"
        raise UsageError(f"--{idle[0].replace('_', '-')} does nothing {what}: leave it out")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this platform."""
    which_stack.add_options(parser)
    function = parser.add_argument_group("the function (what is not given stays as it is)")
    options.add(function, WantedFunction, [one.name for one in fields(WantedFunction)])
    what = parser.add_argument_group("what to do")
    what.add_argument("--bundle-only", action="store_true", help="build the zip, deploy nothing")
    what.add_argument("--out", type=named.path, metavar="FILE", help="where --bundle-only writes it")
    what.add_argument("--bundle", type=named.path, metavar="FILE", help="deploy this zip instead of building one")
    what.add_argument("--delete", action="store_true", help="remove the stack and everything it made")
