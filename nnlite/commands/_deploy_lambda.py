"""`tools.deploy --platform lambda`: builds the bundle, and makes, changes or removes the stack."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnlite import output
from nnlite.commands import _aws, _named
from nnlite.commands._ask import confirm
from nnlite.commands._follow_up import follow_up
from nnlite.commands._json import say
from nnlite.errors import RunError, UsageError
from nnlite.invoker.aws import limits
from nnlite.platform.aws import bundle as bundles
from nnlite.platform.aws import target as targets
from nnlite.platform.aws import template as templates
from nnlite.platform.aws.stack import Stack, Standing

TARGET = targets.Target()
OPTIONS = {  # of the command line -> parameters of the template; what is not given stays as it is
    "memory_mb": "MemoryMb",
    "timeout_s": "TimeoutS",
    "reserved_concurrency": "ReservedConcurrency",
    "arch": "Architecture",
    "log_days": "LogDays",
    "run_days": "RunDays",
    "subnet_ids": "SubnetIds",
    "security_group_ids": "SecurityGroupIds",
    "alarm_usd": "MonthlyBudgetUsd",
    "alarm_email": "BudgetEmail",
}
ALWAYS = {"platform", "json", "debug"}
ALONE = {"out": "bundle_only", "yes": "delete"}  # options of one of those
HEEDED = {  # what else than deploying there is to do -> the options that it heeds
    "bundle_only": {"python", "arch", "out"},
    "delete": {"stack_name", "region", "profile", "dry_run", "yes"},
}


def main(args: argparse.Namespace) -> int:
    """Build, upload, create or update; or delete."""
    _refuse_idle(args)
    _check(args)
    if args.bundle_only:
        return _write_bundle(args)
    stack = _aws.stack_of(args)
    _say(f"account {stack.account.number}, region {stack.account.region}, stack {stack.name}")
    if args.delete:
        return _delete(stack, args)
    standing = stack.standing()
    if standing is not None:
        stack.check_can_change(standing)
    if standing is not None and standing.status == "REVIEW_IN_PROGRESS":
        standing = None  # somebody proposed it, and left it at that
    before = dict(standing.parameters) if standing else {}
    bundle = _bundle(args, before)
    parameters = _parameters(args, before, bundle) | {"CodeKey": f"deploy/{bundle.digest[:32]}.zip"}
    if args.dry_run:
        return _dry_run(stack, before, parameters, args)
    return _deploy(stack, standing, bundle, parameters, args)


def _deploy(
    stack: Stack,
    standing: Standing | None,
    bundle: bundles.Bundle,
    parameters: dict[str, str],
    args: argparse.Namespace,
) -> int:
    from nnlite.platform.aws.bucket import Bucket

    bucket = Bucket(_bucket_name(stack), stack.account)
    if standing is None:
        if bucket.exists():
            raise RunError(
                f"the bucket {bucket.name} is there, but the stack {stack.name} is not: delete the bucket, or choose "
                "another --stack-name"
            )
        _say("the bucket first, as the function's code must lie in it")
        stack.carry_out(stack.propose(templates.bucket_alone(), parameters), _say)
    uploaded = bucket.put_once(parameters["CodeKey"], bundle.data)
    _say(f"bundle {'uploaded' if uploaded else 'is there already'}: {parameters['CodeKey']}")
    changes = stack.propose(templates.whole(), parameters)
    for line in changes.changes:
        _say(line)
    if changes.is_empty:
        _say("nothing to change")
    else:
        stack.carry_out(changes, _say)
    _show_outputs(stack, args)
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


def _dry_run(stack: Stack, before: dict[str, str], parameters: dict[str, str], args: argparse.Namespace) -> int:
    changes = stack.propose(templates.whole(), parameters)
    if not changes.is_empty:
        stack.withdraw(changes)
    both = sorted(parameters.keys() & before.keys())
    other = {name: [before[name], parameters[name]] for name in both if parameters[name] != before[name]}
    if args.json:
        say("planned", stack=stack.name, changes=changes.changes, parameters=other, policy=_policy(stack))
        return 0
    print("nothing would change" if changes.is_empty else "\n".join(changes.changes))
    for name, (old, new) in other.items():
        print(f"{name}: {old} -> {new}")
    print("\nthe function's role would be allowed, and nothing else:\n")
    print(_policy(stack))
    print("\nnothing was changed (--dry-run)")
    return 0


def _policy(stack: Stack) -> str:
    """The role's statements as the template has them, with the names of this stack."""
    text = templates.whole()
    lines = text[text.index("  Role:\n") : text.index("  Worker:\n")].splitlines()
    begin = next(i for i, line in enumerate(lines) if "Policies:" in line and "Managed" not in line)
    shown = "\n".join(line[6:] for line in lines[begin:]).rstrip()
    names = {"AWS::Partition": "aws", "AWS::StackName": stack.name, "AWS::AccountId": stack.account.number}
    names |= {"AWS::Region": stack.account.region, "Bucket.Arn": f"arn:aws:s3:::{_bucket_name(stack)}"}
    for name, value in names.items():
        shown = shown.replace("${" + name + "}", value)
    return shown


def _delete(stack: Stack, args: argparse.Namespace) -> int:
    from nnlite.platform.aws.bucket import Bucket

    if stack.standing() is None:
        raise RunError(f"there is no stack {stack.name} in {stack.account.region}: nothing to delete")
    bucket = Bucket(_bucket_name(stack), stack.account)
    has_bucket = bucket.exists()
    count = bucket.check_all_ours() if has_bucket else 0
    what = f"the stack {stack.name} in {stack.account.region}, with {count} objects of runs and data in {bucket.name}"
    if args.dry_run:
        _tell_of_deletion("would_delete", f"would delete {what}; nothing was deleted (--dry-run)", stack, count, args)
        return 0
    confirm(f"delete {what}?", args.yes)
    if has_bucket:
        bucket.empty()
    stack.delete(_say)
    _tell_of_deletion("deleted", f"deleted: the stack {stack.name} and all that it made", stack, count, args)
    return 0


def _tell_of_deletion(event: str, text: str, stack: Stack, count: int, args: argparse.Namespace) -> None:
    _say(text)
    if args.json:
        say(event, stack=stack.name, objects=count)


def _bucket_name(stack: Stack) -> str:
    return f"{stack.name}-{stack.account.number}-{stack.account.region}"


def _bundle(args: argparse.Namespace, before: dict[str, str]) -> bundles.Bundle:
    if args.bundle:
        bundle = bundles.load(Path(args.bundle))
        for flag, given, of_bundle in (
            ("--python", args.python, bundle.target and bundle.target.python),
            ("--arch", args.arch, bundle.target and bundle.target.architecture),
        ):
            if given and of_bundle and given != of_bundle:
                raise UsageError(
                    f"{flag} {given}: {args.bundle} was built for {of_bundle}: build another, or leave it out"
                )
    else:
        python = args.python or before.get("Runtime", TARGET.runtime).removeprefix("python")
        target = targets.Target(python, args.arch or before.get("Architecture", TARGET.architecture))
        _say(f"building for Python {target.python} on {target.architecture}")
        bundle = bundles.build(target)
    _say(f"bundle {bundle.describe()}")
    return bundle


def _write_bundle(args: argparse.Namespace) -> int:
    target = targets.Target(args.python or TARGET.python, args.arch or TARGET.architecture)
    out = Path(args.out or f"nnlite-{target.runtime}-{target.architecture}.zip")
    output.check(out, f"--out {out}")
    bundle = bundles.build(target)
    output.write(out, [bundle.data], "a bundle")
    if args.json:
        say("built", file=str(out), sha256=bundle.digest, bytes=len(bundle.data))
    else:
        print(f"{out}: {bundle.describe()}")
    return 0


def _parameters(args: argparse.Namespace, before: dict[str, str], bundle: bundles.Bundle) -> dict[str, str]:
    """What the command line says over what stands, over the template's defaults; the bundle's runtime comes with it."""
    given = {name: getattr(args, option) for option, name in OPTIONS.items() if getattr(args, option) is not None}
    if args.python:
        given["Runtime"] = f"python{args.python}"
    if args.bundle and bundle.target and bundle.target.python in targets.PYTHONS:
        given |= {"Runtime": bundle.target.runtime, "Architecture": bundle.target.architecture}
    return before | {name: str(value) for name, value in given.items()}


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


def _check(args: argparse.Namespace) -> None:
    """Refuse what AWS would refuse, before AWS is asked."""
    if args.memory_mb is not None:
        limits.check_memory_mb(args.memory_mb)
    if args.timeout_s is not None:
        limits.check_timeout_s(args.timeout_s)
    if args.reserved_concurrency is not None and args.reserved_concurrency != -1:
        limits.check_concurrency(args.reserved_concurrency)
    if args.python and args.python not in targets.PYTHONS:
        known = ", ".join(targets.PYTHONS)
        raise UsageError(f"--python {args.python}: NumPy's wheels need Lambda's runtimes {known}")
    if (args.alarm_usd is None) != (args.alarm_email is None):
        raise UsageError("--alarm-usd and --alarm-email go together: the amount, and the address that is told")
    if args.alarm_usd is not None and not 0 <= args.alarm_usd < float("inf"):
        raise UsageError(f"--alarm-usd {args.alarm_usd}: wanted an amount of dollars, or 0 for no alarm")
    if (args.subnet_ids is None) != (args.security_group_ids is None):
        raise UsageError("--subnet-ids and --security-group-ids go together: both say where in the VPC")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this platform."""
    _aws.add_options(parser)
    function = parser.add_argument_group("the function (what is not given stays as it is)")
    function.add_argument("--memory-mb", type=int, metavar="MB", help="128 to 10240; 1769, the default, is one core")
    function.add_argument("--timeout-s", type=int, metavar="S", help="1 to 900 (default)")
    function.add_argument("--reserved-concurrency", type=int, metavar="N", help="keep so many invocations; -1: none")
    function.add_argument("--python", metavar="VERSION", help=f"{', '.join(targets.PYTHONS)} (default {TARGET.python})")
    function.add_argument("--arch", choices=sorted(targets.ARCHITECTURES), help="arm64 (default, cheaper) or x86_64")
    function.add_argument("--log-days", type=int, metavar="D", help="keep logs so long (default 14)")
    function.add_argument("--run-days", type=int, metavar="D", help="keep the objects of runs so long (default 30)")
    function.add_argument("--subnet-ids", metavar="A,B", help="of the VPC with your memcached")
    function.add_argument("--security-group-ids", metavar="A,B", help="in that VPC")
    function.add_argument("--alarm-usd", type=float, metavar="USD", help="mail when a month costs more")
    function.add_argument("--alarm-email", metavar="ADDRESS", help="who gets that mail")
    what = parser.add_argument_group("what to do")
    what.add_argument("--bundle-only", action="store_true", help="build the zip, deploy nothing")
    what.add_argument("--out", type=_named.path, metavar="FILE", help="where --bundle-only writes it")
    what.add_argument("--bundle", type=_named.path, metavar="FILE", help="deploy this zip instead of building one")
    what.add_argument("--delete", action="store_true", help="remove the stack and everything it made")
