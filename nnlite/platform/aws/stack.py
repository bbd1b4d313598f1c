"""A CloudFormation stack, changed through change sets: AWS creates, updates, rolls back and removes it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from nnlite.choices import choice
from nnlite.errors import RunError
from nnlite.invoker.aws import limits
from nnlite.invoker.aws.account import CloudAccount, explaining

Say = Callable[[str], None]
DEFAULT_STACK = "nnlite"
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")
POLL_S, POLLS_S = 2.0, 1800.0
#: from these CloudFormation lets a stack only be deleted
STUCK = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}


@dataclass(frozen=True)
class StackStanding:
    """How a stack stands."""

    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class ChangeSet:
    """What would be done to a stack, until somebody says go."""

    name: str
    kind: str  #: CREATE or UPDATE
    changes: tuple[str, ...] = ()  #: one line each
    is_empty: bool = False  #: nothing would change


class Stack:
    """One stack, by its name. sleep: takes seconds, between two looks."""

    def __init__(self, name: str, account: CloudAccount, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name, self.account, self._sleep = name, account, sleep

    def standing(self) -> StackStanding | None:
        """How it stands, or None when there is none."""
        from botocore.exceptions import ClientError

        from nnlite.invoker.aws.errors import code_of, message_of

        with explaining("cloudformation", f"look at the stack {self.name}"):
            try:
                found = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
            except ClientError as error:  # it has no code of its own: other requests that are not valid have this one
                if code_of(error) == "ValidationError" and "does not exist" in message_of(error):
                    return None
                raise
        outputs = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
        parameters = {p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])}
        return StackStanding(found["StackStatus"], outputs, parameters)

    def outputs(self) -> Mapping[str, str]:
        """Names of what is in it. Raises RunError when it is not there, or not complete."""
        standing = self.standing()
        where = f"in {self.account.region}"
        if standing is None:
            raise RunError(
                f"there is no stack {self.name} {where}: python -m tools.deploy makes it (or is it in another "
                "region=, or has another stack_name=?)"
            )
        if "Function" not in standing.outputs:
            found = ", ".join(sorted(standing.outputs)) or "none"
            raise RunError(
                f"the stack {self.name} {where} is {standing.status}, and has no output Function (found: {found}): "
                f"{self._without_function()}"
            )
        return standing.outputs

    def _without_function(self) -> str:
        """What to do about a stack that has none."""
        asked = str(self._client.meta.endpoint_url)
        if (urlsplit(asked).hostname or "").endswith(AWS_HOSTS):
            return "its deploy was interrupted (run python -m tools.deploy), or it is another program's (stack_name=)"
        return (
            f"if python -m tools.deploy has just ended well, {asked} does not do what CloudFormation does with change "
            "sets (moto does not); else run it, or choose another stack_name="
        )

    def functions(self) -> list[str]:
        """Names of all Lambda functions in it. Raises RunError when there is no stack."""
        if self.standing() is None:
            self.outputs()  # says so
        with explaining("cloudformation", f"list the stack {self.name}"):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
            found = [one for page in pages for one in page["StackResourceSummaries"]]
        kind = "AWS::Lambda::Function"
        return [one["PhysicalResourceId"] for one in found if one["ResourceType"] == kind]

    def check_can_change(self, standing: StackStanding) -> None:
        """Raise RunError when CloudFormation would let nothing be changed now."""
        if standing.status in STUCK:
            raise RunError(
                f"the stack {self.name} is {standing.status}: CloudFormation only lets it be deleted; "
                f"python -m tools.deploy --delete --stack-name {self.name}, then deploy again"
            )
        if standing.status.endswith("_IN_PROGRESS") and standing.status != "REVIEW_IN_PROGRESS":
            raise RunError(f"the stack {self.name} is {standing.status}: somebody changes it; wait until that is over")

    def propose(self, template: str, parameters: Mapping[str, str]) -> ChangeSet:
        """Ask CloudFormation what would be done; nothing is, yet."""
        standing = self.standing()
        if standing is not None:
            self.check_can_change(standing)
        kind = "CREATE" if standing is None or standing.status == "REVIEW_IN_PROGRESS" else "UPDATE"
        name = f"nnlite-{secrets.token_hex(4)}"
        with explaining("cloudformation", f"propose changes of the stack {self.name}"):
            self._client.create_change_set(
                StackName=self.name,
                ChangeSetName=name,
                ChangeSetType=kind,
                TemplateBody=template,
                Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                Capabilities=["CAPABILITY_IAM"],
                Tags=[{"Key": "nnlite:stack", "Value": self.name}],
            )
        found = self._until_proposed(name)
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            self.withdraw(ChangeSet(name, kind))
            if any(text in reason for text in NO_CHANGES):
                return ChangeSet(name, kind, is_empty=True)
            raise RunError(f"CloudFormation refuses the changes of the stack {self.name}: {reason}")
        return ChangeSet(name, kind, tuple(map(_line, found.get("Changes", []))))

    def _until_proposed(self, name: str) -> dict[str, Any]:
        for _ in range(int(POLLS_S / POLL_S)):
            with explaining("cloudformation", f"look at the changes of the stack {self.name}"):
                found: dict[str, Any] = self._client.describe_change_set(StackName=self.name, ChangeSetName=name)
            if found["Status"] in ("CREATE_COMPLETE", "FAILED"):
                return found
            self._sleep(POLL_S)
        raise RunError(
            f"CloudFormation has not answered for half an hour: look at the stack {self.name} in its console"
        )

    def withdraw(self, changes: ChangeSet) -> None:
        """Forget a proposal; and a stack that was only ever proposed."""
        with explaining("cloudformation", f"withdraw changes of the stack {self.name}"):
            self._client.delete_change_set(StackName=self.name, ChangeSetName=changes.name)
            if changes.kind == "CREATE":
                self._client.delete_stack(StackName=self.name)

    def carry_out(self, changes: ChangeSet, say: Say) -> None:
        """Do what was proposed, and wait for it. Raises RunError with AWS' reason when it was rolled back."""
        began = self._last_event()
        with explaining("cloudformation", f"change the stack {self.name}"):
            self._client.execute_change_set(StackName=self.name, ChangeSetName=changes.name)
        status = self._wait(say, began)
        if status != f"{changes.kind}_COMPLETE":
            raise RunError(f"the stack {self.name} is {status}: {self._first_failure(began)}")

    def delete(self, say: Say) -> None:
        """Remove it with all that it made, and wait for it."""
        standing = self.standing()
        if standing is None:
            return
        began = self._last_event()
        with explaining("cloudformation", f"delete the stack {self.name}"):
            self._client.delete_stack(StackName=self.name)
        status = self._wait(say, began)
        if status not in ("", "DELETE_COMPLETE"):
            raise RunError(f"the stack {self.name} is {status}: {self._first_failure(began)}")

    def _wait(self, say: Say, after: str) -> str:
        """Until nothing goes on any more, telling of each resource. -> the status; "" when the stack is gone"""
        told: set[str] = set()
        for _ in range(int(POLLS_S / POLL_S)):
            standing = self.standing()
            if standing is None:
                return ""
            for event in self._events_after(after):
                if event["EventId"] not in told:
                    told.add(event["EventId"])
                    say(f"{event['ResourceStatus']:<20} {event['LogicalResourceId']}")
            if not standing.status.endswith("_IN_PROGRESS"):
                return standing.status
            self._sleep(POLL_S)
        raise RunError(f"the stack {self.name} is not ready after half an hour: look at it in CloudFormation's console")

    def _events_after(self, event_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        events: list[dict[str, Any]] = []
        with explaining("cloudformation", f"read the events of the stack {self.name}"):
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self.name):
                for event in page["StackEvents"]:
                    if event["EventId"] == event_id:
                        return events[::-1]
                    events.append(event)
        return events[::-1]

    def _last_event(self) -> str:
        events = self._events_after("") if self.standing() else []
        return events[-1]["EventId"] if events else ""

    def _first_failure(self, after: str) -> str:
        for event in self._events_after(after):
            if event["ResourceStatus"].endswith("_FAILED"):
                reason = event.get("ResourceStatusReason", "no reason given")
                return f"{event['LogicalResourceId']}: {reason}; correct that and deploy again"
        return "look at its events in CloudFormation's console"

    @property
    def _client(self) -> Any:
        return self.account.client("cloudformation")


@dataclass(frozen=True)
class WhichStack:
    """A stack by its name, in the region and by the profile that are given, or that boto3 is configured with."""

    stack_name: str = choice(DEFAULT_STACK, "of the stack (default nnlite)", "NAME")
    region: str | None = choice(None, "default: as boto3 is configured (AWS_DEFAULT_REGION, ~/.aws/config)")
    profile: str | None = choice(None, "of ~/.aws/config; default: as boto3 is configured")

    def __post_init__(self) -> None:
        limits.check_stack_name(self.stack_name)

    @cached_property
    def stack(self) -> Stack:
        """The stack, of which nothing is known yet."""
        return Stack(self.stack_name, CloudAccount(self.profile, self.region))


def _line(change: dict[str, Any]) -> str:
    values = change["ResourceChange"]
    replaced = ", replaced" if values.get("Replacement") == "True" else ""
    return f"{values['Action']:<8} {values['ResourceType']:<32} {values['LogicalResourceId']}{replaced}"
