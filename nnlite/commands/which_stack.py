"""What the commands that talk to AWS have in common: which stack, of which account. Deploying needs no NumPy."""

from __future__ import annotations

import argparse
from dataclasses import fields

from nnlite.commands import options
from nnlite.platform.aws.stack import Stack, WhichStack


def add_options(parser: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """--stack-name, --region, --profile."""
    options.add(parser, WhichStack, [one.name for one in fields(WhichStack)])


def stack_of(args: argparse.Namespace) -> Stack:
    """The stack that the options name. Asks AWS nothing."""
    return WhichStack(**options.given(args, WhichStack)).stack
