"""`tools.deploy`: what it makes, what it leaves alone, and what it says when it cannot."""

import json
import re
import zipfile

import pytest

from nnlite.invoker.aws.account import CloudAccount
from nnlite.platform.aws import deployment
from nnlite.platform.aws.stack import Stack
from tests.platform.aws.account import ACCOUNT, REGION
from tests.platform.aws.cli import call
from tests.tools.documented import check

BUCKET = f"nnlite-{ACCOUNT}-{REGION}"
CHANGES = ("ExecuteChangeSet", "DeleteStack", "CreateStack", "UpdateStack")


def changed(account) -> list[str]:
    """Requests that changed something."""
    return [one for one in account.asked if one.endswith(CHANGES) or one.startswith(("s3:PUT", "lambda:PUT"))]


def test_a_second_time_it_does_nothing(stack, local_bundle):
    stack.asked.clear()
    again = call("deploy", "--bundle", local_bundle, "--json")
    assert again.code == 0, again.err
    assert "nothing to change" in again.err
    assert changed(stack) == []
    (line,) = again.out.splitlines()
    assert check("tools.deploy lambda", line) == {"deployed"}
    assert json.loads(line)["Store"] == f"s3://{BUCKET}/nnlite?region={REGION}"


def test_what_is_not_given_stays_and_what_is_given_changes(stack, local_bundle):
    configuration = lambda: stack.client("lambda").get_function_configuration(FunctionName="nnlite-worker")  # noqa: E731
    assert (configuration()["MemorySize"], configuration()["Timeout"]) == (1769, 20)
    assert call("deploy", "--bundle", local_bundle, "--memory-mb", 512).code == 0
    assert (configuration()["MemorySize"], configuration()["Timeout"]) == (512, 20)
    assert call("deploy", "--bundle", local_bundle, "--memory-mb", 1769).code == 0


def test_a_dry_run_shows_changes_and_policy_and_changes_nothing(stack, local_bundle):
    for name in ("nnlite", "fresh"):
        stack.asked.clear()
        done = call("deploy", "--bundle", local_bundle, "--dry-run", "--stack-name", name, "--memory-mb", 256)
        assert done.code == 0, done.err
        shown = r"MemoryMb: 1769 -> 256" if name == "nnlite" else r"Add +AWS::Lambda::Function +Worker"
        assert re.search(shown, done.out)
        assert f"function:{name}-worker" in done.out
        assert "s3:PutObject" in done.out
        assert not any("ExecuteChangeSet" in one for one in stack.asked)
    names = [one["StackName"] for one in stack.client("cloudformation").list_stacks()["StackSummaries"]
             if one["StackStatus"] != "DELETE_COMPLETE"]  # fmt: skip
    assert names == ["nnlite"]


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_the_policy_that_is_shown_names_the_partition_of_its_region(region, partition, monkeypatch):
    account = CloudAccount(region=region)
    monkeypatch.setitem(vars(account), "number", "1")
    shown = deployment.policy(Stack("nnlite", account))
    assert set(re.findall(r"\barn:([^:]*):", shown)) == {partition}


def test_a_dry_run_of_delete_deletes_nothing(stack):
    stack.asked.clear()
    for more in ((), ("--yes",)):
        done = call("deploy", "--delete", "--dry-run", "--json", *more)
        assert done.code == 0, done.err
        assert "would delete the stack nnlite in" in done.err
        assert check("tools.deploy lambda", done.out) == {"would_delete"}
    assert changed(stack) == []
    assert not any("Delete" in one for one in stack.asked)


def test_a_bundle_brings_its_runtime_along(stack, local_bundle, tmp_path):
    def plan(python, arch, *more):
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
            archive.writestr("lambda_pkg/handler.py", "")
            archive.writestr(f"numpy/_core/_multiarray_umath.cpython-3{python}-{arch}-linux-gnu.so", "")
        return call("deploy", "--bundle", tmp_path / "b.zip", "--dry-run", "--json", *more)

    before = {p["ParameterKey"]: p["ParameterValue"] for p in parameters(stack)}
    said = plan(14, "aarch64").out
    assert check("tools.deploy lambda", said) == {"planned"}
    planned = json.loads(said)["parameters"]
    assert planned["Runtime"] == [before["Runtime"], "python3.14"]
    assert plan(14, "aarch64", "--python", "3.14", "--arch", "arm64").code == 0
    for more, said in ((("--python", "3.13"), "--python 3.13: "), (("--arch", "x86_64"), "--arch x86_64: ")):
        refused = plan(14, "aarch64", *more)
        assert refused.code == 2
        assert said in refused.err
        assert "was built for" in refused.err
    assert {p["ParameterKey"]: p["ParameterValue"] for p in parameters(stack)} == before


def parameters(account):
    return account.client("cloudformation").describe_stacks(StackName="nnlite")["Stacks"][0]["Parameters"]


def test_delete_removes_what_it_made_but_refuses_foreign_data(account, local_bundle):
    assert call("deploy", "--bundle", local_bundle, "--stack-name", "short").code == 0
    s3, bucket = account.client("s3"), BUCKET.replace("nnlite", "short")
    s3.put_object(Bucket=bucket, Key="nnlite/runs/r/head.json", Body=b"1")
    s3.put_object(Bucket=bucket, Key="diary.txt", Body=b"mine")
    delete = ("deploy", "--delete", "--stack-name", "short")
    assert call(*delete).code == 1  # of foreign data first, before it would ask
    refused = call(*delete, "--yes")
    assert refused.code == 1
    assert "'diary.txt', which nnlite has not written" in refused.err
    s3.delete_object(Bucket=bucket, Key="diary.txt")
    assert "Nobody can be asked here: say --yes" in call(*delete).err
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    assert call(*delete, "--yes").code == 0
    assert bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    left = [f["FunctionName"] for f in account.client("lambda").list_functions()["Functions"]]
    left += [g["logGroupName"] for g in account.client("logs").describe_log_groups()["logGroups"]]
    left += [r["RoleName"] for r in account.client("iam").list_roles()["Roles"]]
    left += [r["Name"] for r in account.client("events").list_rules()["Rules"]]
    left += account.client("sqs").list_queues().get("QueueUrls", [])
    assert [name for name in left if "short" in name] == []
    assert "nothing to delete" in call(*delete, "--yes").err


# ---- refused before AWS is asked


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--memory-mb", 64], "--memory-mb 64: Lambda has 128 to 10,240"),
        (["--memory-mb", 10241], "Lambda has 128 to 10,240"),
        (["--timeout-s", 0], "--timeout-s 0: Lambda has 1 to 900"),
        (["--timeout-s", 901], "Lambda has 1 to 900"),
        (["--reserved-concurrency", -2], "--reserved-concurrency -2"),
        (["--stack-name", "Big_Name"], "--stack-name 'Big_Name'"),
        (["--python", "3.9"], "need Lambda's runtimes 3.12, 3.13, 3.14"),
        (["--alarm-usd", 5], "--alarm-email go together"),
        (["--subnet-ids", "subnet-1"], "--security-group-ids go together"),
        (["--bundle", "x.zip", "--delete"], "--bundle does nothing with --delete: leave it out"),
        (["--bundle", "x.zip", "--bundle-only"], "--bundle does nothing with --bundle-only"),
        (["--memory-mb", 512, "--delete"], "--memory-mb does nothing with --delete"),
        (["--stack-name", "mine", "--bundle-only"], "--stack-name does nothing with --bundle-only"),
        (["--bundle-only", "--dry-run"], "--dry-run does nothing with --bundle-only"),
        (["--out", "x.zip"], "--out does nothing without --bundle-only"),
        (["--delete", "--bundle-only"], "--bundle-only and --delete: one thing at a time"),
    ],
)
def test_what_is_out_of_range_is_refused_before_aws_is_asked(account, options, says):
    account.asked.clear()
    done = call("deploy", *options)
    assert done.code == 2
    assert says in done.err
    assert account.asked == []


# ---- what can be wrong in an account: one line each, with the next step


@pytest.mark.parametrize(
    ("what", "status", "code", "says"),
    [
        ("sts", 403, "ExpiredToken", r"the credentials have expired; log in again \(aws sso login\)"),
        ("sts", 403, "InvalidClientTokenId", r"AWS does not know these credentials; run `aws configure`"),
        ("cloudformation:CreateChangeSet", 403, "AccessDenied", r"may not cloudformation:CreateChangeSet; allow it"),
        ("cloudformation:DescribeStacks", 403, "AccessDenied", r"may not cloudformation:DescribeStacks"),
    ],
)
def test_refusals_of_aws_become_one_line(account, local_bundle, what, status, code, says):
    """AWS' own words first, then advice."""
    account.refuse(what, status, code, "Because of AWS.")
    done = call("deploy", "--bundle", local_bundle, "--stack-name", "fresh", "--dry-run")
    assert done.code == 1
    assert re.search(f"error: cannot .*: AWS says {code}: Because of AWS; .*{says}", done.err), done.err
    assert len([line for line in done.err.splitlines() if line.startswith("error")]) == 1
    assert "Traceback" not in done.err


def test_no_credentials_no_region_no_profile_no_network(account, local_bundle, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "AWS cannot be reached; check the network" in call("deploy", "--bundle", local_bundle).err
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    assert "error: cannot use AWS: The config profile (nobody) could not be found" in (
        call("deploy", "--bundle", local_bundle, "--profile", "nobody").err
    )
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert (
        "You must specify a region; name a region (--region eu-west-1)" in call("deploy", "--bundle", local_bundle).err
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "Unable to locate credentials; run `aws configure`" in call("deploy", "--region", REGION).err


def test_a_bucket_of_somebody_else(account, local_bundle):
    account.client("s3").create_bucket(Bucket=BUCKET.replace("nnlite", "taken"))
    done = call("deploy", "--bundle", local_bundle, "--stack-name", "taken")
    assert done.code == 1
    assert "is there, but the stack taken is not: delete the bucket, or choose another --stack-name" in done.err
    account.client("s3").delete_bucket(Bucket=BUCKET.replace("nnlite", "taken"))


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("ROLLBACK_COMPLETE", "CloudFormation only lets it be deleted; python -m tools.deploy --delete"),
        ("UPDATE_IN_PROGRESS", "somebody changes it; wait until that is over"),
    ],
)
def test_a_stack_that_cannot_be_changed(stack, local_bundle, status, says):
    from moto.cloudformation.models import cloudformation_backends

    (found,) = [s for s in cloudformation_backends[ACCOUNT][REGION].stacks.values() if s.name == "nnlite"]
    before, found.status = found.status, status
    stack.asked.clear()
    try:
        done = call("deploy", "--bundle", local_bundle, "--memory-mb", 256)
    finally:
        found.status = before
    assert done.code == 1
    assert says in done.err
    assert changed(stack) == []


def test_the_wrong_region_and_a_missing_function(stack, monkeypatch):
    train = ("train", "--platform", "lambda", "--case", "c", "--dataset", "fashion-sample")
    elsewhere = call(*train, "--region", "us-west-2")
    assert elsewhere.code == 1
    said = (
        "there is no stack nnlite in us-west-2: python -m tools.deploy --region us-west-2 makes it (or is it in another"
    )
    assert said in elsewhere.err
    named = "Function not found: nnlite-worker in us-east-1"
    stack.refuse("lambda", 404, "ResourceNotFoundException", named)
    gone = call(*train)
    assert "the function nnlite-worker" in gone.err
    assert f"AWS says ResourceNotFoundException: {named}; python -m tools.deploy makes it" in gone.err


def test_only_a_stack_that_does_not_exist_is_none(stack):
    """Else a deploy would begin to make another one, and a status would send its reader to the wrong region."""
    stack.refuse("cloudformation", 403, "AccessDenied", "the role deployer does not exist")
    done = call("status", "--platform", "lambda")
    assert done.code == 1
    assert "AWS says AccessDenied: the role deployer does not exist" in done.err
    assert "there is no stack" not in done.err


def test_a_server_that_only_seems_to_deploy_is_named(account, local_bundle, monkeypatch):
    """moto by itself forgets the outputs of change sets. To run the command again would help nobody."""
    moto = f"http://{account._moto_address}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    options = ("--stack-name", "seeming", "--region", "us-east-2")
    try:
        done = call("deploy", "--bundle", local_bundle, *options)
        assert done.code == 1
        assert "is UPDATE_COMPLETE, and has no output Function (found: none): if python -m tools.deploy" in done.err
        assert f"{moto} does not do what CloudFormation does" in done.err
    finally:
        assert call("deploy", "--delete", "--yes", *options).code == 0


def test_a_stack_of_aws_without_a_function():
    from nnlite.errors import RunError
    from nnlite.invoker.aws.account import CloudAccount
    from nnlite.platform.aws.stack import Stack

    class Client:
        class meta:  # noqa: N801 (boto3's)
            endpoint_url = "https://cloudformation.eu-central-1.amazonaws.com"

        def describe_stacks(self, StackName):
            return {
                "Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": [{"OutputKey": "Url", "OutputValue": "x"}]}]
            }

    account = CloudAccount(region=REGION)
    account._clients["cloudformation"] = Client()
    with pytest.raises(
        RunError, match=r"CREATE_COMPLETE, and has no output Function \(found: Url\): its deploy was inter"
    ):
        Stack("nnlite", account).outputs()


def test_rolled_back_with_aws_own_reason(stack):
    """What CloudFormation says when it gives up is what the user reads."""
    from nnlite.errors import RunError
    from nnlite.invoker.aws.account import CloudAccount
    from nnlite.platform.aws.stack import ChangeSet, Stack

    class Client:
        def describe_stacks(self, StackName):
            return {"Stacks": [{"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}]}

        def execute_change_set(self, StackName, ChangeSetName):
            pass

        def get_paginator(self, name):
            return self

        def paginate(self, StackName):
            event = {"EventId": "1", "ResourceStatus": "UPDATE_FAILED", "LogicalResourceId": "Worker"}
            return [{"StackEvents": [event | {"ResourceStatusReason": "Unzipped size must be smaller"}]}]

    account = CloudAccount(region=REGION)
    account._clients["cloudformation"] = Client()
    said: list[str] = []
    broken = Stack("nnlite", account, sleep=lambda s: None)
    broken._last_event = lambda: ""
    with pytest.raises(RunError, match="UPDATE_ROLLBACK_COMPLETE: Worker: Unzipped size must be smaller"):
        broken.carry_out(ChangeSet("x", "UPDATE"), said.append)
    assert said == ["UPDATE_FAILED        Worker"]
