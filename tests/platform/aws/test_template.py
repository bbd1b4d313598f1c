"""The template: clean, and its role may do nothing that it need not."""

import ast
import fnmatch
import json
import multiprocessing
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from nnlite.invoker.aws import limits
from nnlite.platform.aws import template
from tests.platform.aws.account import ACCOUNT, REGION

PREFIX = f"arn:aws:s3:::nnlite-{ACCOUNT}-{REGION}"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nnlite-worker"


class _Loader(yaml.SafeLoader):
    """CloudFormation's short forms, as what they are about."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_object(_plain(node), deep=True))


def _plain(node):
    kinds = {yaml.ScalarNode: "str", yaml.SequenceNode: "seq", yaml.MappingNode: "map"}
    return type(node)(f"tag:yaml.org,2002:{kinds[type(node)]}", node.value)


def parsed() -> dict:
    return yaml.load(template.whole(), _Loader)


def statements() -> list[dict]:
    (policy,) = parsed()["Resources"]["Role"]["Properties"]["Policies"]
    return policy["PolicyDocument"]["Statement"]


def listed(value) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("text", [template.whole(), template.bucket_alone()], ids=["whole", "bucket alone"])
def test_cfn_lint_has_nothing_to_say(text, tmp_path):
    linter = Path(sys.executable).with_name("cfn-lint")
    program = str(linter) if linter.exists() else shutil.which("cfn-lint")
    (tmp_path / "template.yaml").write_text(text)
    unused = "W2001,W8001" if text != template.whole() else "E9999"  # parameters and conditions of the whole one
    command = [program, "--ignore-checks", unused, "--", str(tmp_path / "template.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_bucket_comes_alone_first():
    alone = yaml.load(template.bucket_alone(), _Loader)
    whole = parsed()
    assert set(alone["Resources"]) == {"Bucket", "BucketPolicy"}
    assert all(whole["Resources"][name] == resource for name, resource in alone["Resources"].items())
    assert alone["Parameters"] == whole["Parameters"]


def wide(statement: dict) -> list[str]:
    """What of a statement allows more than one kind of thing on one named place."""
    actions, resources = listed(statement["Action"]), listed(statement["Resource"])
    found = [action for action in actions if "*" in action]
    # below its own prefix, and in its own log group, names are not known beforehand
    allowed = ("${Bucket.Arn}/nnlite/*", "log-group:/aws/lambda/${AWS::StackName}-worker:*")
    found += [r for r in resources if "*" in r and not r.endswith(allowed)]
    listing = {
        "StringLike": {"s3:prefix": "nnlite/*"}
    }  # a bucket is one resource: what is listed of it, the prefix says
    found += [a for a in actions if a.startswith("s3:List") and statement.get("Condition") != listing]
    return found + [key for key in ("NotAction", "NotResource") if key in statement]


def test_the_role_has_no_star():
    assert [found for statement in statements() for found in wide(statement)] == []


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "s3:*", "Resource": "arn"},
        {"Action": ["s3:GetObject", "*"], "Resource": "arn"},
        {"Action": "s3:GetObject", "Resource": "*"},
        {"Action": "s3:GetObject", "Resource": ["arn", "${Bucket.Arn}/*"]},
        {"Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:${AWS::Region}:1:function:*"},
        {"Action": "s3:ListBucket", "Resource": "arn"},
        {"Action": "s3:ListBucket", "Resource": "arn", "Condition": {"StringLike": {"s3:prefix": "*"}}},
        {"Action": "s3:ListBucket", "Resource": "arn", "Condition": {"StringLikeIfExists": {"s3:prefix": "nnlite/*"}}},
    ],
)
def test_a_star_would_be_found(statement):
    assert wide(statement) != []


def test_limits_are_the_template_s():
    parameters = parsed()["Parameters"]
    for name, (low, high) in (("MemoryMb", limits.MEMORY_MB), ("TimeoutS", limits.TIMEOUT_S)):
        assert (parameters[name]["MinValue"], parameters[name]["MaxValue"]) == (low, high)


def test_everything_is_private_capped_and_goes_with_the_stack():
    resources = parsed()["Resources"]
    bucket = resources["Bucket"]["Properties"]
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["BucketEncryption"]
    (deny,) = resources["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    events = resources["WorkerEvents"]["Properties"]
    assert events["MaximumRetryAttempts"] == 0  # Lambda would wait a minute, then two
    assert events["MaximumEventAgeInSeconds"] <= 600
    assert events["DestinationConfig"]["OnFailure"]["Destination"] == "LostEvents.Arn"
    assert resources["Worker"]["Properties"]["RecursiveLoop"] == "Allow"
    assert resources["Schedule"]["Properties"]["State"] == "DISABLED"
    assert {name for name, one in resources.items() if one.get("DeletionPolicy") == "Retain"} == set()


# ---- what the deployed role may really do


@pytest.fixture(scope="module")
def policy(stack) -> dict:
    """The role's policy as it was deployed, with all names filled in."""
    client = stack.client("iam")
    (role,) = [r["RoleName"] for r in client.list_roles()["Roles"] if "Role" in r["RoleName"]]
    found = client.get_role_policy(RoleName=role, PolicyName="worker")["PolicyDocument"]
    return ast.literal_eval(found) if isinstance(found, str) else found  # moto gives the dict's repr


def permitted(policy: dict, action: str, resource: str) -> bool:
    from moto.iam.access_control import IAMPolicy, PermissionResult

    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource) == PermissionResult.PERMITTED


@pytest.mark.parametrize(
    ("action", "resource", "may"),
    [
        ("s3:PutObject", f"{PREFIX}/nnlite/runs/r/head.json", True),
        ("s3:DeleteObject", f"{PREFIX}/nnlite/runs/r/head.json", True),
        ("s3:PutObject", f"{PREFIX}/deploy/code.zip", False),
        ("s3:PutObject", f"{PREFIX}/nnlite2/runs/r/head.json", False),
        ("s3:PutObject", f"{PREFIX}2/nnlite/runs/r/head.json", False),
        ("s3:DeleteBucket", PREFIX, False),
        ("s3:PutBucketPolicy", PREFIX, False),
        ("lambda:InvokeFunction", FUNCTION, True),
        ("lambda:InvokeFunction", f"{FUNCTION}2", False),
        ("lambda:InvokeFunction", FUNCTION.replace("nnlite", "another"), False),
        ("lambda:UpdateFunctionCode", FUNCTION, False),
        ("lambda:PutFunctionConcurrency", FUNCTION, False),
        ("events:EnableRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/nnlite-repair", True),
        ("events:EnableRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/another", False),
        ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:another", False),
        ("iam:PassRole", "arn:aws:iam::1:role/x", False),
    ],
)
def test_what_the_role_may(policy, action, resource, may):
    assert permitted(policy, action, resource) is may


@pytest.mark.parametrize(
    ("prefix", "may"),
    [
        ("nnlite/runs/r/head.json", True),  # as AWS asks it when the object at this key is absent
        ("nnlite/", True),
        ("", False),
        ("deploy/", False),
        ("nnlite", False),
        ("nnlite-other/", False),
    ],
)
def test_the_role_lists_its_prefix_alone(policy, prefix, may):
    (statement,) = [one for one in policy["Statement"] if "s3:ListBucket" in listed(one["Action"])]
    assert listed(statement["Resource"]) == [PREFIX]
    (pattern,) = listed(statement["Condition"]["StringLike"]["s3:prefix"])
    assert fnmatch.fnmatchcase(prefix, pattern) is may


def test_the_documents_say_what_the_role_may(policy):
    """Every action is in the table of docs/lambda.md, and every action of the table is allowed."""
    text = (Path(__file__).parents[3] / "docs" / "lambda.md").read_text()
    table = text[text.index("| the role may |") : text.index("The bundle (")]
    told = set(re.findall(r"`(\w+:\w+)`", table))
    assert told == {action for statement in policy["Statement"] for action in listed(statement["Action"])}


def enforce(policy: dict) -> None:
    """Requests of the role itself, with moto's IAM enforcement switched on."""
    from moto import mock_aws
    from moto.core import set_initial_no_auth_action_count

    @mock_aws
    @set_initial_no_auth_action_count(5)
    def check() -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
                patch.delenv(name, raising=False)
            s3, iam = boto3.client("s3", region_name=REGION), boto3.client("iam")
            bucket = PREFIX.rpartition(":")[2]
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            s3.create_bucket(Bucket="another", CreateBucketConfiguration={"LocationConstraint": REGION})
            role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
            iam.put_role_policy(RoleName="worker", PolicyName="worker", PolicyDocument=json.dumps(policy))
            found = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="worker")["Credentials"]
            mine = boto3.client(
                "s3", region_name=REGION, aws_access_key_id=found["AccessKeyId"],
                aws_secret_access_key=found["SecretAccessKey"], aws_session_token=found["SessionToken"],
            )  # fmt: skip
            mine.put_object(Bucket=bucket, Key="nnlite/runs/r/head.json", Body=b"1")
            assert mine.get_object(Bucket=bucket, Key="nnlite/runs/r/head.json")["Body"].read() == b"1"
            for where, key in ((bucket, "deploy/x"), (bucket, "nnlite-other/x"), ("another", "nnlite/x")):
                with pytest.raises(ClientError, match="AccessDenied"):
                    mine.put_object(Bucket=where, Key=key, Body=b"1")

    check()


def test_the_role_writes_nothing_outside_its_prefix(policy):
    """In a process of its own: moto begins by forgetting all that it has, and the account of the tests with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(enforce, policy).result()
