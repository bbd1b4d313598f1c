"""A stack's bucket on servers with ways of their own, and what AWS' refusals become."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, EndpointConnectionError, ProfileNotFound
from botocore.parsers import ResponseParserError

from nnlite.errors import RunError
from nnlite.invoker.aws.account import explaining
from nnlite.platform.aws.bucket import Bucket
from tests.s3_proxy import misbehaving
from tests.servers import s3_client

KEYS = [f"nnlite/runs/r/{number}" for number in range(5)]


@pytest.fixture
def bucket_at(s3):
    """bucket_at(proxy): a bucket with some objects of ours."""
    made = []

    def make(proxy) -> Bucket:
        client = s3_client(proxy.web.url)
        name = f"bucket-{len(made)}"
        made.append(name)
        s3_client(s3).create_bucket(Bucket=name)
        for key in KEYS:
            s3_client(s3).put_object(Bucket=name, Key=key, Body=b"x")
        return Bucket(name, SimpleNamespace(client=lambda service: client))

    yield make
    for name in made:
        for one in s3_client(s3).list_objects_v2(Bucket=name).get("Contents", []):
            s3_client(s3).delete_object(Bucket=name, Key=one["Key"])
        s3_client(s3).delete_bucket(Bucket=name)


@pytest.mark.parametrize("mode", ["pass", "delmd5", "nobulk"])
def test_it_is_emptied_at_once_or_key_by_key(mode, s3, bucket_at):
    with misbehaving(s3, mode) as proxy:
        bucket = bucket_at(proxy)
        assert bucket.check_all_ours() == len(KEYS)
        bucket.empty()
        assert bucket.check_all_ours() == 0
        methods = [request.method for request in proxy.asked]
        assert methods.count("POST") == 1
        assert methods.count("DELETE") == (0 if mode == "pass" else len(KEYS))


def test_a_bucket_that_cannot_be_emptied_says_why(s3, bucket_at):
    says = r"^cannot delete 'nnlite/runs/r/0' in the bucket .*: AWS says AccessDenied: Nothing is deleted here"
    with misbehaving(s3, "nodel") as proxy, pytest.raises(RunError, match=says):
        bucket_at(proxy).empty()


def test_a_bucket_that_is_not_to_be_had_says_what_aws_says(s3, bucket_at):
    with (
        misbehaving(s3, "denied") as proxy,
        pytest.raises(RunError, match=r"is not to be had \(AWS says 403: Forbidden\)"),
    ):
        bucket_at(proxy).exists()


def refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateFunction")


KMS = "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on this resource"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (refused("AccessDenied", KMS), rf"AccessDenied: {KMS}; these credentials may not kms:Decrypt; allow it"),
        (refused("AccessDenied", "No."), "AWS says AccessDenied: No; these credentials may not lambda:CreateFunction"),
        (refused("Teapot", "\x1b[31mred\n."), r"AWS says Teapot: \[31mred"),
        (CredentialRetrievalError(provider="sso", error_msg="asleep"), "from sso: asleep; run `aws configure`"),
        (ProfileNotFound(profile="me"), r"The config profile \(me\) could not be found; ~/.aws/config"),
        (EndpointConnectionError(endpoint_url="http://x"), '"http://x"; AWS cannot be reached; check the network'),
        (ResponseParserError("no XML: b'<html>'"), "no XML: b'<html>'; that is no answer of AWS"),
    ],
)  # fmt: skip
def test_words_of_others_come_first_then_advice(error, line):
    with pytest.raises(RunError, match=line) as caught, explaining("lambda", "make it"):
        raise error
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("cannot make it: ")


def test_errors_of_our_own_are_not_dressed_up():
    with pytest.raises(ZeroDivisionError), explaining("lambda", "make it"):
        raise ZeroDivisionError
