"""The schedule: a rule that has the function look after runs that nobody watches, while there are any."""

from __future__ import annotations

from nnlite.invoker.aws.account import CloudAccount, explaining


def enable(account: CloudAccount, rule: str) -> None:
    """Let it fire every minute."""
    with explaining("events", f"enable the schedule {rule}"):
        account.client("events").enable_rule(Name=rule)


def disable(account: CloudAccount, rule: str) -> None:
    """Let it rest."""
    with explaining("events", f"disable the schedule {rule}"):
        account.client("events").disable_rule(Name=rule)
