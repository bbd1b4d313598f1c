"""What the commands that talk to AWS have in common: which stack, of which account."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from nnlite.invoker.aws import limits
from nnlite.invoker.aws.account import Account
from nnlite.invoker.aws.stack import Stack

DEFAULT_STACK = "nnlite"


def add_options(parser: argparse._ArgumentGroup | argparse.ArgumentParser, with_region: bool = True) -> None:
    """--stack-name, --region, --profile."""
    parser.add_argument("--stack-name", default=DEFAULT_STACK, metavar="NAME", help="of the stack (default nnlite)")
    if with_region:
        parser.add_argument("--region", help="default: as boto3 is configured (AWS_DEFAULT_REGION, ~/.aws/config)")
    parser.add_argument("--profile", help="of ~/.aws/config; default: as boto3 is configured")


def stack_of(args: argparse.Namespace) -> Stack:
    """The stack that the options name. Asks AWS nothing."""
    limits.check_stack_name(args.stack_name)
    return Stack(args.stack_name, Account(args.profile, args.region))


def outputs_of(args: argparse.Namespace) -> tuple[Account, Mapping[str, str]]:
    """The account, and the names of what the stack holds."""
    stack = stack_of(args)
    return stack.account, stack.outputs()
