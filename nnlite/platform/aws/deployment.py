"""A deployment: the function that is wanted, its bundle, and the stack that both become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nnlite.choices import choice
from nnlite.errors import RunError, UsageError
from nnlite.invoker.aws import limits
from nnlite.platform.aws import bundle as bundles
from nnlite.platform.aws import template
from nnlite.platform.aws.bundle import Bundle
from nnlite.platform.aws.stack import ChangeSet, Stack
from nnlite.platform.aws.target import ARCHITECTURES, PYTHONS, Target

if TYPE_CHECKING:
    from nnlite.platform.aws.bucket import Bucket

Tell = Callable[[str], None]
TARGET = Target()
PARAMETERS = {  # fields of WantedFunction -> parameters of the template
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


@dataclass(frozen=True)
class WantedFunction:
    """What the function is to be. None leaves a value as it stands, or as the template has it."""

    memory_mb: int | None = choice(None, "128 to 10240; 1769, the default, is one core", "MB")
    timeout_s: int | None = choice(None, "1 to 900 (default)", "S")
    reserved_concurrency: int | None = choice(None, "keep so many invocations; -1: none", "N")
    python: str | None = choice(None, f"{', '.join(PYTHONS)} (default {TARGET.python})", "VERSION")
    arch: str | None = choice(None, "arm64 (default, cheaper) or x86_64", None, sorted(ARCHITECTURES))
    log_days: int | None = choice(None, "keep logs so long (default 14)", "D")
    run_days: int | None = choice(None, "keep the objects of runs so long (default 30)", "D")
    subnet_ids: str | None = choice(None, "of the VPC with your memcached", "A,B")
    security_group_ids: str | None = choice(None, "in that VPC", "A,B")
    alarm_usd: float | None = choice(None, "mail when a month costs more", "USD")
    alarm_email: str | None = choice(None, "who gets that mail", "ADDRESS")

    def check(self) -> None:
        """Refuse what AWS would refuse, before AWS is asked. Raises UsageError."""
        if self.memory_mb is not None:
            limits.check_memory_mb(self.memory_mb)
        if self.timeout_s is not None:
            limits.check_timeout_s(self.timeout_s)
        if self.reserved_concurrency is not None and self.reserved_concurrency != -1:
            limits.check_concurrency(self.reserved_concurrency)
        if self.python and self.python not in PYTHONS:
            known = ", ".join(PYTHONS)
            raise UsageError(f"--python {self.python}: NumPy's wheels need Lambda's runtimes {known}")
        if (self.alarm_usd is None) != (self.alarm_email is None):
            raise UsageError("--alarm-usd and --alarm-email go together: the amount, and the address that is told")
        if self.alarm_usd is not None and not 0 <= self.alarm_usd < float("inf"):
            raise UsageError(f"--alarm-usd {self.alarm_usd}: wanted an amount of dollars, or 0 for no alarm")
        if (self.subnet_ids is None) != (self.security_group_ids is None):
            raise UsageError("--subnet-ids and --security-group-ids go together: both say where in the VPC")

    def target(self, before: dict[str, str] | None = None) -> Target:
        """What a bundle is built for. before: the parameters that stand."""
        stands = before or {}
        python = self.python or stands.get("Runtime", TARGET.runtime).removeprefix("python")
        return Target(python, self.arch or stands.get("Architecture", TARGET.architecture))

    def check_bundle(self, file: str, target: Target | None) -> None:
        """Raise UsageError when a bundle in a file was built for another target than was asked for."""
        of_bundle = (target.python, target.architecture) if target else (None, None)
        for flag, given, found in zip(("--python", "--arch"), (self.python, self.arch), of_bundle, strict=True):
            if given and found and given != found:
                raise UsageError(f"{flag} {given}: {file} was built for {found}: build another, or leave it out")

    def parameters(self, before: dict[str, str], bundle: Bundle, is_from_file: bool) -> dict[str, str]:
        """What is wanted over what stands, over the template's defaults; a file's runtime comes with it."""
        given = {name: getattr(self, field) for field, name in PARAMETERS.items() if getattr(self, field) is not None}
        if self.python:
            given["Runtime"] = f"python{self.python}"
        if is_from_file and bundle.target and bundle.target.python in PYTHONS:
            given |= {"Runtime": bundle.target.runtime, "Architecture": bundle.target.architecture}
        key = f"deploy/{bundle.digest[:32]}.zip"
        return before | {name: str(value) for name, value in given.items()} | {"CodeKey": key}


def bundle_for(wanted: WantedFunction, file: str | None, before: dict[str, str], tell: Tell) -> Bundle:
    """The bundle in a file, or one that is built now."""
    if file:
        bundle = bundles.load(Path(file))
        wanted.check_bundle(file, bundle.target)
    else:
        target = wanted.target(before)
        tell(f"building for Python {target.python} on {target.architecture}")
        bundle = bundles.build(target)
    tell(f"bundle {bundle.describe()}")
    return bundle


def deploy(stack: Stack, is_new: bool, bundle: Bundle, parameters: dict[str, str], tell: Tell) -> None:
    """Make the stack, or change it. Raises RunError."""
    bucket = bucket_of(stack)
    if is_new:
        if bucket.exists():
            raise RunError(
                f"the bucket {bucket.name} is there, but the stack {stack.name} is not: delete the bucket, or choose "
                "another stack_name="
            )
        tell("the bucket first, as the function's code must lie in it")
        stack.carry_out(stack.propose(template.bucket_alone(), parameters), tell)
    uploaded = bucket.put_once(parameters["CodeKey"], bundle.data)
    tell(f"bundle {'uploaded' if uploaded else 'is there already'}: {parameters['CodeKey']}")
    changes = stack.propose(template.whole(), parameters)
    for line in changes.changes:
        tell(line)
    if changes.is_empty:
        tell("nothing to change")
    else:
        stack.carry_out(changes, tell)


def proposed(stack: Stack, parameters: dict[str, str]) -> ChangeSet:
    """What deploying would change; nothing is."""
    changes = stack.propose(template.whole(), parameters)
    if not changes.is_empty:
        stack.withdraw(changes)
    return changes


def policy(stack: Stack) -> str:
    """The role's statements as the template has them, with the names of this stack."""
    text = template.whole()
    lines = text[text.index("  Role:\n") : text.index("  Worker:\n")].splitlines()
    begin = next(i for i, line in enumerate(lines) if "Policies:" in line and "Managed" not in line)
    shown = "\n".join(line[6:] for line in lines[begin:]).rstrip()
    names = {
        "AWS::Partition": stack.account.partition,
        "AWS::StackName": stack.name,
        "AWS::AccountId": stack.account.number,
    }
    names |= {"AWS::Region": stack.account.region}
    names |= {"Bucket.Arn": f"arn:{stack.account.partition}:s3:::{bucket_of(stack).name}"}
    for name, value in names.items():
        shown = shown.replace("${" + name + "}", value)
    return shown


def bucket_of(stack: Stack) -> Bucket:
    """The bucket that a stack makes, or has made."""
    from nnlite.platform.aws.bucket import Bucket

    return Bucket(f"{stack.name}-{stack.account.number}-{stack.account.region}", stack.account)


def contents(stack: Stack) -> int:
    """How many objects would be deleted with a stack. Raises RunError where there is no such stack, or where there are
    others' objects among them."""
    if stack.standing() is None:
        raise RunError(f"there is no stack {stack.name} in {stack.account.region}: nothing to delete")
    bucket = bucket_of(stack)
    return bucket.check_all_ours() if bucket.exists() else 0


def delete(stack: Stack, tell: Tell) -> None:
    """Delete the stack, its bucket and all objects in it."""
    bucket = bucket_of(stack)
    if bucket.exists():
        bucket.empty()
    stack.delete(tell)
