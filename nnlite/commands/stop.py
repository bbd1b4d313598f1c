"""Stop runs, or cut the whole function off: `python -m tools.stop RUN`."""

from __future__ import annotations

import argparse
import sys

from nnlite.commands import where, which_stack
from nnlite.commands.follow_up import follow_up
from nnlite.commands.parser import Parser
from nnlite.commands.program import EXIT_ERROR
from nnlite.commands.spelling import command
from nnlite.errors import NnliteError, RunError, StoreError, StoreUnavailable, UsageError
from nnlite.invoker.aws.function import Function
from nnlite.platform.aws.functions import Lambda
from nnlite.platform.aws.stack import Stack
from nnlite.platform.local import Local
from nnlite.protocol.records.head import RUNNING
from nnlite.protocol.roles import watcher
from nnlite.runs.lifecycle import standing
from nnlite.runs.status import Surveyor
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import read_spec
from nnlite.store import Store

REASON = "stopped by tools.stop"
EXAMPLES = """examples:
  python -m tools.stop b-20260101-120000-3f2a
  python -m tools.stop --all --platform lambda
  python -m tools.stop --force
  python -m tools.stop --release
"""


def main(args: argparse.Namespace) -> int:
    """Stop one run, all, or everything at once."""
    if sum(map(bool, (args.run, args.all, args.force, args.release))) != 1:
        raise UsageError("stop what? Name a RUN, or say --all, or --force (and --release to undo that)")
    if args.force or args.release:
        _refuse_store(args)
        return _cut_off(which_stack.stack_of(args), args)
    with where.open_runs(args) as store:
        names = where.runs_in(store, args.run)
        if not names:
            print(f"there are no runs in {store.url}", file=sys.stderr)
        if args.run is not None:
            _stop(store, args.run, must_run=True)
            return 0
        return EXIT_ERROR if [name for name in names if not _stopped(store, name)] else 0


def _stopped(store: Store, name: str) -> bool:
    """Stop one of many runs, if it runs. False if that could not be done, as it is said: the others must not go on
    because of it."""
    try:
        _stop(store, name, must_run=False)
        return True
    except StoreUnavailable:  # the others would fail the same way
        raise
    except NnliteError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False


def _stop(store: Store, name: str, must_run: bool) -> None:
    try:
        spec = read_spec(store, name)
    except StoreUnavailable:
        raise
    except (StoreError, RunError) as error:  # its workers look at the head: that is enough
        _stop_by_head(store, name, error)
        return
    before = standing(store, spec)
    if before is not None and store.url == spec.checkpoint_store and Surveyor(store, spec).look().is_copy:
        if must_run:
            raise RunError(f"{store.url} has copies of run {name}, and not the run: name its own --store")
        return
    if before is None or before.status != RUNNING:
        if must_run:
            raise RunError(f"run {name} is {before.status if before else 'not begun'}: there is nothing to stop")
        return
    after = perform(watcher.stop(name, REASON), Performer(store))
    status = after.status if after else "gone"
    print(f"{name}: {status}; its workers leave within seconds, its newest checkpoint stays")


def _stop_by_head(store: Store, name: str, error: NnliteError) -> None:
    """Stop a run whose specification is gone or damaged, and raise an error that says both; `error` if there is no
    head to stop it by."""
    after = perform(watcher.stop(name, REASON), Performer(store))
    if after is None:
        raise error
    raise RunError(f"{error}; by its head, it is {after.status}: its workers leave within seconds")


def _refuse_store(args: argparse.Namespace) -> None:
    """--force and --release act on a stack, whatever runs on it."""
    if args.store is not None or args.platform not in (Local.name, Lambda.name):
        raise UsageError(
            f"--{'force' if args.force else 'release'} is for all functions of a stack on AWS Lambda: leave "
            f"{'--store' if args.store is not None else f'--platform {args.platform}'} out"
        )


def _cut_off(stack: Stack, args: argparse.Namespace) -> int:
    """Reserved concurrency 0 on every function of the stack, or what was reserved before."""
    names = stack.functions()
    if not names:
        raise RunError(f"the stack {stack.name} in {stack.account.region} has no function: nothing runs in it")
    standing = stack.standing()
    reserved = int(standing.parameters.get("ReservedConcurrency", "-1")) if standing else -1
    for name in names:
        function = Function(name, stack.account)
        if args.release:
            function.release(None if reserved < 0 else reserved)
            print(f"{name} in {stack.account.region}: released; runs go on with {command('train')} --resume RUN")
        else:
            function.cut_off()
            print(f"{name} in {stack.account.region}: cut off, nothing of it starts any more")
    if not args.release:
        print(f"what runs now ends at its timeout at the latest; undo: {follow_up('stop', args, '--release')}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.stop",
        description="Stop a run: its workers leave within seconds, its newest checkpoint stays, --resume goes on.",
        epilog=EXAMPLES,
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="the run to stop")
    parser.add_argument("--all", action="store_true", help="every run of the store")
    parser.add_argument("--force", action="store_true", help="let no function of the stack start any more (Lambda)")
    parser.add_argument("--release", action="store_true", help="undo --force")
    where.add_options(parser)
    return parser
