"""What the commands that talk to AWS have in common: which stack, of which account. Deploying needs no NumPy."""

from __future__ import annotations

import argparse

from nnlite.invoker.aws import limits
from nnlite.invoker.aws.account import Account
from nnlite.invoker.aws.stack import DEFAULT_STACK, Stack


def add_options(parser: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """--stack-name, --region, --profile."""
    parser.add_argument("--stack-name", default=DEFAULT_STACK, metavar="NAME", help="of the stack (default nnlite)")
    parser.add_argument("--region", help="default: as boto3 is configured (AWS_DEFAULT_REGION, ~/.aws/config)")
    parser.add_argument("--profile", help="of ~/.aws/config; default: as boto3 is configured")


def stack_of(args: argparse.Namespace) -> Stack:
    """The stack that the options name. Asks AWS nothing."""
    limits.check_stack_name(args.stack_name)
    return Stack(args.stack_name, Account(args.profile, args.region))
