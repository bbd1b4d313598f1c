"""An AWS account of this machine: management calls by moto, S3 by SeaweedFS, functions by the real runtime client."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from nnlite.platform.aws import template
from tests.platform.aws.functions import Deployed, Functions
from tests.servers import CREDENTIALS, s3_client
from tests.web import Answer, Request, Web

REGION = "eu-central-1"
ACCOUNT = "123456789012"  # moto's
CODE = "deploy/"  # where the stack's bucket has bundles
HOP_HEADERS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class AwsAccount:
    """`url` is every service's endpoint but S3's. `refuse` makes one of them say no."""

    def __init__(self, s3_endpoint: str, folder: Path) -> None:
        from moto.server import ThreadedMotoServer

        self.s3_endpoint, self.folder = s3_endpoint, folder
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._moto_address = "{}:{}".format(*self._moto.get_host_and_port())
        self._web = Web(self._answer)
        self.url = self._web.url
        self.environment = CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.url, "AWS_ENDPOINT_URL_S3": s3_endpoint, "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        # a machine where kernels of one kind of CPU are asked for gets them in its functions as well
        kernels = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "NPY_", "PATH"))}
        kernels.pop("OPENBLAS_NUM_THREADS", None)
        retries = re.search(r"MaximumRetryAttempts: (\d+)", template.whole())
        assert retries is not None
        self.functions = Functions(self._deployed, kernels | self.environment, folder, self._lost, int(retries[1]))
        self.concurrency_limit = 1000
        self.refusals: dict[str, Answer] = {}
        self.asked: list[str] = []  #: "service:what" of every request
        self._roots: dict[str, Path] = {}
        self._unzipping = threading.Lock()
        self._made: set[str] = set()  # buckets, by CloudFormation

    # ---- services

    @contextlib.contextmanager
    def logged_in(self) -> Iterator[None]:
        """While it is open, this process and its children are logged in, whatever other tests have set before."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def client(self, service: str) -> Any:
        if service == "s3":
            return s3_client(self.s3_endpoint)
        keys = {k.lower(): v for k, v in CREDENTIALS.items()}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)

    def refuse(self, what: str, status: int, code: str, message: str = "no") -> None:
        """Answer requests for `what` ("sts", or "cloudformation:CreateChangeSet") with an error."""
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        is_json = what.partition(":")[0] in ("lambda", "events", "sqs")
        body = json.dumps({"message": message, "__type": code}) if is_json else xml
        self.refusals[what] = Answer(status, body.encode(), (("x-amzn-ErrorType", code),))

    def _answer(self, request: Request) -> Answer:
        service, operation = _asked(request)
        self.asked.append(f"{service}:{operation}")
        for what in (service, f"{service}:{operation}"):
            if what in self.refusals:
                return self.refusals[what]
        invoked = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations(\?.*)?", request.path)
        if service == "lambda" and invoked:
            headers = {name.lower(): value for name, value in request.headers.items()}
            kind = headers.get("x-amz-invocation-type", "RequestResponse")
            return self.functions.invoke(invoked[1], kind, request.body)
        if service == "lambda" and "account-settings" in request.path:
            limits = {"ConcurrentExecutions": self.concurrency_limit}
            limits["UnreservedConcurrentExecutions"] = self.concurrency_limit
            return Answer(200, json.dumps({"AccountLimit": limits, "AccountUsage": {}}).encode())
        answer = self._forward(request)
        if service == "cloudformation":
            _finish_change_sets()
            self._follow_buckets()
        return answer

    def _forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self._moto_address, timeout=60)
        with contextlib.closing(connection):
            connection.request(request.method, request.path, request.body, dict(request.headers))
            found = connection.getresponse()
            headers = tuple((k, v) for k, v in found.getheaders() if k.lower() not in HOP_HEADERS)
            return Answer(found.status, found.read(), headers)

    def _follow_buckets(self) -> None:
        """What CloudFormation has done to buckets, done where the objects are."""
        from moto.s3.models import s3_backends

        wanted = set(s3_backends[ACCOUNT]["aws"].buckets)
        client = self.client("s3")
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for name in wanted - there:
            client.create_bucket(Bucket=name)
        for name in self._made - wanted:
            client.delete_bucket(Bucket=name)
        self._made = wanted

    # ---- functions

    def _deployed(self, name: str) -> Deployed | None:
        from moto.awslambda.exceptions import UnknownFunctionException
        from moto.awslambda.models import lambda_backends

        try:
            found = lambda_backends[ACCOUNT][REGION].get_function(name)
        except UnknownFunctionException:
            return None
        reserved = found.reserved_concurrency
        root = self._unzipped(found.code["S3Bucket"], found.code["S3Key"])
        timeout_s, memory_mb = float(found.timeout), int(found.memory_size)
        return Deployed(name, root, found.handler, memory_mb, timeout_s, None if reserved is None else int(reserved))

    def _unzipped(self, bucket: str, key: str) -> Path:
        with self._unzipping:
            return self._roots.get(key) or self._unzip(bucket, key)

    def _unzip(self, bucket: str, key: str) -> Path:
        data = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        root = self.folder / key.replace("/", "-")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(root)
        self._roots[key] = root
        return root

    def _lost(self, message: dict) -> None:
        client = self.client("sqs")
        for url in client.list_queues().get("QueueUrls", []):
            client.send_message(QueueUrl=url, MessageBody=json.dumps(message))

    def calm(self) -> None:
        """No faults any more, nothing refused, nothing running, nothing remembered, no run left in the bucket or looked
        after by the schedule."""
        self.refusals.clear()
        self.concurrency_limit = 1000
        self.functions.reset()
        self._forget_runs()
        events = self.client("events")
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])
        self.asked.clear()

    def _forget_runs(self) -> None:
        """Delete what tests have left in the stack's bucket; its code stays."""
        for bucket in self._made:
            self._forget(bucket, "")

    def _forget(self, bucket: str, folder: str) -> None:
        """Delete a folder: SeaweedFS goes on listing one whose last object is gone until it is deleted itself."""
        client = self.client("s3")
        pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/"))
        for inner in [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]:
            if inner != CODE:
                self._forget(bucket, inner)
        for key in [*(found["Key"] for page in pages for found in page.get("Contents", [])), folder]:
            if key:
                client.delete_object(Bucket=bucket, Key=key)

    def close(self) -> None:
        self.functions.close()
        self._web.close()
        self._moto.stop()


def _finish_change_sets() -> None:
    """What moto forgets: an executed change set's parameters and outputs are its stack's from then on."""
    from moto.cloudformation.models import cloudformation_backends

    backend = cloudformation_backends[ACCOUNT][REGION]
    for change_set in backend.change_sets.values():
        stack = backend.stacks.get(change_set.stack_id)
        if stack is not None and change_set.execution_status == "EXECUTE_COMPLETE":
            change_set.execution_status = "OBSOLETE"
            stack._parse_template()
            defaults = {k: str(v["Default"]) for k, v in stack.template_dict["Parameters"].items() if "Default" in v}
            stack.parameters = defaults | change_set.parameters
            stack.output_map = stack._create_output_map()


def _asked(request: Request) -> tuple[str, str]:
    """The service by the signature's scope, and the operation as far as the request names it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([\w-]+)/", headers.get("authorization", ""))
    service = scope[1] if scope else ""
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    action = re.search(rb"(?:^|&)Action=(\w+)", request.body)
    return service, target or (action[1].decode() if action else f"{request.method} {request.path}")


@contextlib.contextmanager
def aws_account(s3_endpoint: str, folder: Path) -> Iterator[AwsAccount]:
    """An empty account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALIDATE_LAMBDA_S3", "false")  # the code lies in SeaweedFS, not in moto
        account = AwsAccount(s3_endpoint, folder)
        try:
            yield account
        finally:
            account.close()
