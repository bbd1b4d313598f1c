"""The store in S3: the contract on SeaweedFS, AWS' answers, and failures told apart."""

import contextlib
import http.server
import io
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from nnlite.errors import Conflict, NotFound, PartlyUnavailable, StoreError, StoreUnavailable, UsageError
from nnlite.store import ABSENT, Store, Version, open_store
from nnlite.store.s3 import S3Store, client, parallel
from nnlite.store.s3 import store as module
from tests.servers import BUCKET, free_ports, s3_client

from .contract import REPOSITORY, OpenAgain, SharedStoreContract


@pytest.fixture(autouse=True)
def _credentials(credentials: None) -> None:
    """No test here ever sees the credentials of whoever runs it."""


def fresh_url(endpoint: str) -> str:
    return f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={endpoint}"


class ContentVersions(SharedStoreContract):
    """The contract, where a version is a hash of the content: it tells two values apart, not two writes."""

    def test_equal_bytes_get_another_version(self, store: Store) -> None:
        versions = []
        for value in (b"counted 1", b"counted 2", b"counted 1"):
            store.put("a", value)
            versions.append(store.get("a").version)
        assert versions[0] != versions[1]
        assert versions[0] == versions[2], "versions are unique after all: drop this class"

    def test_a_version_does_not_come_back_after_a_delete(self, store: Store) -> None:
        """It does with the same bytes. So whatever is swapped contains a counter, and counts on after a delete."""
        store.put("a", b"counted 1")
        old = store.get("a").version
        store.delete("a")
        store.put("a", b"counted 2")
        with pytest.raises(Conflict):
            store.put("a", b"late", if_version=old)


class TestSeaweedFS(ContentVersions):
    @pytest.fixture
    def open_again(self, s3: str) -> OpenAgain:
        url = fresh_url(s3)
        return lambda: S3Store.from_url(url)


class TestAsItIsOpened(ContentVersions):
    """Behind `Retrying`."""

    @pytest.fixture
    def open_again(self, s3: str) -> OpenAgain:
        url = fresh_url(s3)
        return lambda: open_store(url)

    # Races take seconds here and are the same as above.
    test_no_swap_of_another_process_is_lost = None  # type: ignore[assignment]
    test_one_of_many_creating_processes_wins = None  # type: ignore[assignment]
    test_no_swap_is_lost_on_one_handle = None  # type: ignore[assignment]


@pytest.fixture
def store(s3: str) -> Iterator[S3Store]:
    with S3Store.from_url(fresh_url(s3)) as store:
        yield store


# Objects


def test_values_are_plain_objects(store: S3Store, s3: str) -> None:
    store.put("runs/r1/head.json", b"{}")
    prefix = store.url.split("/")[3].partition("?")[0]
    found = s3_client(s3).get_object(Bucket=BUCKET, Key=f"{prefix}/runs/r1/head.json")
    assert found["Body"].read() == b"{}"


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_writer_that_dies_between_headers_and_body_leaves_what_was_there(store: S3Store, old: bytes | None) -> None:
    """SeaweedFS makes an empty object of the headers alone, if they do not say what is to follow."""
    if old is not None:
        store.put("a", old)

    class Died(Exception):
        pass

    def die(request: Any, **_: Any) -> None:
        place = urlsplit(request.url)
        headers = {**request.headers, "Host": place.netloc}
        lines = [f"PUT {place.path} HTTP/1.1", *(f"{k}: {_text(v)}" for k, v in headers.items()), "", ""]
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall("\r\n".join(lines).encode())
        raise Died

    events = store._s3().meta.events
    events.register("before-send.s3.PutObject", die)
    with pytest.raises(Died):
        store.put("a", b"x" * 1000, if_version=ABSENT if old is None else None)
    events.unregister("before-send.s3.PutObject", die)
    time.sleep(0.5)  # the server has to find out
    if old is None:
        store.put("a", b"y" * 1000, if_version=ABSENT)  # nobody has taken the name
    else:
        assert store.get("a").data == old


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_without_a_prefix(s3: str) -> None:
    store, key = S3Store.from_url(f"s3://{BUCKET}?endpoint={s3}/"), uuid.uuid4().hex
    store.put(key, b"one")
    assert S3Store.from_url(store.url).get(key).data == b"one"
    store.delete(key)


@pytest.mark.parametrize("version", ["", "*", "W/x", '""', '"a", "b"', '"*"'])
def test_what_is_no_etag_never_matches(store: S3Store, version: str) -> None:
    """An empty one would be no condition at all, and `*` any."""
    store.put("a", b"one")
    with pytest.raises(Conflict):
        store.put("a", b"two", if_version=Version(version))
    assert store.get("a").data == b"one"


# Answers: what AWS says, and what SeaweedFS does not


class Answers:
    """A client of AWS that gives the answers it was given, in order, and counts what it was asked."""

    class meta:  # noqa: N801 (boto3's)
        endpoint_url = "https://s3.eu-west-1.amazonaws.com"

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def _ask(self, verb: str, options: Any) -> Any:
        from botocore.exceptions import ClientError

        self.asked.append((verb, options))
        answer = self.answers.pop(0)
        if isinstance(answer, tuple):
            status, code = answer
            error = {"Code": code, "Message": "Words of AWS"}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, verb)  # type: ignore[arg-type,typeddict-item]
        if isinstance(answer, Exception):
            raise answer
        return {"Body": io.BytesIO(answer), "ETag": f'"{answer.decode()}"'}

    def get_object(self, **options: Any) -> Any:
        return self._ask("get", options)

    def head_object(self, **options: Any) -> Any:
        return self._ask("head", options)

    def put_object(self, **options: Any) -> Any:
        return self._ask("put", options)

    def delete_object(self, **options: Any) -> Any:
        return self._ask("delete", options)


def answering(*answers: Any) -> tuple[S3Store, Answers]:
    answers_of = Answers(*answers)
    return S3Store("bucket", "p", client=answers_of, sleep=lambda _: None), answers_of


FATAL = [
    ((403, "AccessDenied"), r"allow s3:GetObject.* s3:ListBucket on the bucket \(without it AWS says"),
    ((403, "InvalidAccessKeyId"), "check the credentials: set AWS_ACCESS_KEY_ID"),
    ((403, "SignatureDoesNotMatch"), "check the credentials"),
    ((400, "ExpiredToken"), "log in again"),
    ((403, "RequestTimeTooSkewed"), "this machine's clock is more than 15 minutes wrong"),
    ((301, "PermanentRedirect"), r"the bucket is in another region than asked; add \?region=REGION"),
    ((400, "AuthorizationHeaderMalformed"), "the bucket is in another region"),
    ((404, "NoSuchBucket"), "create the bucket, or correct store="),
    ((404, "404"), r"that is no S3 answer: is \?endpoint="),
    ((400, "EntityTooLarge"), "the value is larger than the server takes"),
    ((418, "Teapot"), ""),
]
LATER = [(503, "SlowDown"), (500, "InternalError"), (503, "503"), (400, "RequestTimeout"), (429, "TooMany"), (502, "")]


@pytest.mark.parametrize(("answer", "advice"), FATAL)
def test_refusals_are_neither_missing_keys_nor_worth_a_retry(answer: tuple[int, str], advice: str) -> None:
    """The server's words come first, then what to do."""
    store, asked = answering(*[answer] * 5)
    verbs: list[Callable[[], Any]] = [lambda: store.get("a"), lambda: store.get_many(["a"]), lambda: store.delete("a")]
    for verb in [*verbs, lambda: store.put("a", b""), lambda: store.put("a", b"", if_version=ABSENT)]:
        code = answer[1] if answer[1] != str(answer[0]) else ""
        says = f"says {answer[0]}{' ' * bool(code)}{code}: Words of AWS{'; ' * bool(advice)}{advice}"
        with pytest.raises(StoreError, match=says) as caught:
            verb()
        assert not isinstance(caught.value, (NotFound, Conflict, StoreUnavailable))
        assert "'a' in s3://bucket/p" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert len(asked.asked) == 5


@pytest.mark.parametrize("answer", LATER)
def test_overload_may_pass(answer: tuple[int, str]) -> None:
    store, asked = answering(*[answer] * 2)
    for verb in (lambda: store.get("a"), lambda: store.put("a", b"", if_version=ABSENT)):
        with pytest.raises(StoreUnavailable, match="overloaded or failing: try later"):
            verb()
    assert len(asked.asked) == 2


def test_aws_says_404_to_a_swap_of_what_is_not_there() -> None:
    store, _ = answering((404, "NoSuchKey"), (404, "NoSuchKey"))
    with pytest.raises(Conflict, match="found no value"):
        store.put("a", b"two", if_version=Version('"one"'))


def test_a_missing_bucket_is_no_conflict() -> None:
    store, _ = answering((404, "NoSuchBucket"))
    with pytest.raises(StoreError, match="create the bucket") as caught:
        store.put("a", b"two", if_version=Version('"one"'))
    assert not isinstance(caught.value, Conflict)


def test_the_conditions_that_are_sent() -> None:
    store, asked = answering(b"done", b"done", b"done")
    store.put("a", b"1", if_version=ABSENT)
    store.put("a", b"2", if_version=Version('"etag"'))
    store.put("a", [b"3", b"4"])
    common = {"Bucket": "bucket", "Key": "p/a"}
    assert [options for _, options in asked.asked] == [
        {**common, "Body": b"1", "IfNoneMatch": "*"},
        {**common, "Body": b"2", "IfMatch": '"etag"'},
        {**common, "Body": b"34"},
    ]


@pytest.mark.parametrize("condition", [ABSENT, Version('"one"')])
def test_409_means_not_done_and_is_asked_again(condition: Any) -> None:
    busy = (409, "ConditionalRequestConflict")
    store, asked = answering(busy, busy, b"done")
    store.put("a", b"two", if_version=condition)
    assert len(asked.asked) == 3

    store, asked = answering(busy, (412, "PreconditionFailed"), b"other")
    with pytest.raises(Conflict):
        store.put("a", b"two", if_version=condition)

    store, asked = answering(*[busy] * 100)
    with pytest.raises(StoreUnavailable, match="6 times 409"):
        store.put("a", b"two", if_version=condition)
    assert len(asked.asked) == module.NUM_CONFLICT_RETRIES


def test_other_409s_are_not_conflicts_of_ours() -> None:
    store, asked = answering((409, "BucketAlreadyExists"))
    with pytest.raises(StoreError, match="409 BucketAlreadyExists"):
        store.put("a", b"two", if_version=ABSENT)
    assert len(asked.asked) == 1


def test_a_body_that_breaks_off_is_no_value() -> None:
    from botocore.exceptions import IncompleteReadError

    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    store, asked = answering()
    asked._ask = lambda *_: {"Body": Broken(), "ETag": '"x"'}  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match=r"broke off or was damaged \(1 read, but total bytes expected is 2"):
        store.get("a")


def test_errors_of_our_own_are_not_dressed_up() -> None:
    store, _ = answering(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        store.get("a")


def test_to_look_for_keys_reads_none_and_takes_no_refusal_for_missing() -> None:
    store, asked = answering(b"there", (404, "404"), (403, "403"))
    assert store.missing(["a"]) == []
    assert store.missing(["b"]) == ["b"]
    with pytest.raises(StoreError, match="cannot look for 'c' in s3://bucket/p: the server says 403"):
        store.missing(["c"])
    assert [verb for verb, _ in asked.asked] == ["head"] * 3


def test_a_server_that_says_it_of_a_key_that_is_not_there_has_deleted_it() -> None:
    store, asked = answering((404, "NoSuchKey"))
    store.delete("a")
    assert [verb for verb, _ in asked.asked] == ["delete"]


def test_of_more_than_one_request_can_delete_those_that_went_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked = answering()
    answers: list[Any] = [{}, (503, "SlowDown")]

    def delete_objects(**options: Any) -> Any:
        asked.answers = [answers.pop(0)]
        return asked._ask("bulk", options) if isinstance(asked.answers[0], tuple) else {}

    monkeypatch.setattr(Answers, "delete_objects", staticmethod(delete_objects), raising=False)
    keys = [f"k{number}" for number in range(1_500)]
    with pytest.raises(PartlyUnavailable, match="503 SlowDown") as caught:
        store.delete_many(keys)
    assert list(caught.value.answers) == keys[:1_000]


def test_get_many_is_parallel_and_bounded() -> None:
    store, asked = answering()
    running, most, lock = 0, 0, threading.Lock()

    def slow(verb: str, options: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return {"Body": io.BytesIO(options["Key"].encode()), "ETag": '"x"'}

    asked._ask = slow  # type: ignore[method-assign]
    keys = [f"k{number}" for number in range(50)]
    found = store.get_many(keys)
    assert [value.data.decode() for value in found if value] == [f"p/{key}" for key in keys]
    assert most == parallel.NUM_THREADS
    store.close = lambda: None  # type: ignore[method-assign]


def test_of_many_keys_those_that_were_answered_are_told_and_the_rest_is_not_asked() -> None:
    store, asked = answering()
    asked_keys: list[str] = []

    def flaky(verb: str, options: Any) -> Any:
        from botocore.exceptions import ClientError

        asked_keys.append(options["Key"])
        if options["Key"] == "p/k0":
            raise ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, verb)  # type: ignore[arg-type,typeddict-item]
        time.sleep(0.01)
        return {"Body": io.BytesIO(options["Key"].encode()), "ETag": '"x"'}

    asked._ask = flaky  # type: ignore[method-assign]
    with pytest.raises(PartlyUnavailable, match="503 SlowDown") as caught:
        store.get_many([f"k{number}" for number in range(500)])
    assert "k0" not in caught.value.answers
    assert {f"p/{key}" for key in caught.value.answers} | {"p/k0"} == set(asked_keys)
    assert len(asked_keys) < 400
    assert all(value.data == f"p/{key}".encode() for key, value in caught.value.answers.items())


# Servers


def test_a_missing_bucket(s3: str) -> None:
    store = S3Store.from_url(f"s3://no-such-bucket/p?endpoint={s3}")
    for verb in (lambda: store.get("a"), lambda: store.get_many(["a", "b"])):
        with pytest.raises(StoreError, match="bucket does not exist; create the bucket, or correct store=") as caught:
            verb()
        assert not isinstance(caught.value, NotFound)


@pytest.fixture
def fresh_session() -> Iterator[None]:
    """boto3 looks for credentials once a session."""
    client.forget_session()
    yield
    client.forget_session()


@pytest.mark.usefixtures("fresh_session")
def test_wrong_credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    with pytest.raises(
        StoreError, match=r"InvalidAccessKeyId: .*; check the credentials: set AWS_ACCESS_KEY_ID"
    ) as caught:
        S3Store.from_url(fresh_url(s3)).get("a")
    assert not isinstance(caught.value, NotFound)


@pytest.mark.usefixtures("fresh_session")
def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="Unable to locate credentials; set AWS_ACCESS_KEY_ID"):
        S3Store.from_url(fresh_url(s3)).get("a")


def test_a_server_that_is_not_there_is_named_with_its_flag() -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = S3Store.from_url(fresh_url(endpoint))
    for verb in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: store.delete("a")):
        with pytest.raises(StoreUnavailable, match=rf"{endpoint} cannot be reached; check store="):
            verb()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every request with `status`, after `pause_s`."""

    status, body, pause_s, num_requests = 200, b"", 0.0, 0

    def do_GET(self) -> None:
        type(self).num_requests += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.pause_s)
        with contextlib.suppress(BrokenPipeError):
            self.send_response(self.status)
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

    do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[tuple[str, type[Handler]]]:
    """A web server that is no S3: (its URL, what it answers)."""
    handler = type("Handler", (Handler,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("body", [b"", b"<html>not found</html>", b"not found"])
def test_the_404_of_another_web_server_is_not_a_missing_key(web: tuple[str, type[Handler]], body: bytes) -> None:
    endpoint, handler = web
    handler.status, handler.body = 404, body
    with pytest.raises(StoreError, match="S3 server") as caught:
        S3Store.from_url(fresh_url(endpoint)).get("a")
    assert not isinstance(caught.value, NotFound)


@pytest.mark.parametrize("status", [500, 503])
def test_botocore_repeats_nothing(web: tuple[str, type[Handler]], status: int) -> None:
    """A create that it repeated behind our back would meet its own first write."""
    endpoint, handler = web
    handler.status = status
    store = S3Store.from_url(fresh_url(endpoint))
    verbs = [lambda: store.put("a", b"x", if_version=ABSENT), lambda: store.get("a"), lambda: store.delete("a")]
    for number, verb in enumerate(verbs, 1):
        with pytest.raises(StoreUnavailable):
            verb()
        assert handler.num_requests == number


def test_a_server_that_hangs_is_not_waited_for(web: tuple[str, type[Handler]]) -> None:
    endpoint, handler = web
    handler.pause_s = 1.0
    with pytest.raises(StoreUnavailable, match=r"Read timeout on endpoint URL.* did not answer in time; check"):
        S3Store.from_url(f"{fresh_url(endpoint)}&timeout_s=0.2").get("a")
    assert handler.num_requests == 1


# URLs and clients


def test_options_survive_the_url() -> None:
    url = "s3://my.bucket-1/a/b?endpoint=https://s3.example:9000/x&region=eu-west-1&timeout_s=5.0"
    assert S3Store.from_url(url).url == url
    assert S3Store.from_url("s3://bucket/Some%20Folder/").url == "s3://bucket/Some%20Folder"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///prefix",
        "s3://UPPER/p",
        "s3://a/p",
        "s3://key:secret@bucket/p",
        "s3://bucket/p//q",
        "s3://bucket/p?endpoint=127.0.0.1:8333",
        "s3://bucket/p?endpoint=",
        "s3://bucket/p?secret=x",
        "s3://bucket/p?timeout_s=-1",
        "s3://bucket/p#fragment",
    ],
)
def test_malformed_urls(url: str) -> None:
    with pytest.raises(UsageError, match=r"s3://"):
        open_store(url)


def test_opening_loads_and_connects_nothing() -> None:
    code = "import sys; from nnlite.store import open_store; print(open_store('s3://bucket/p'), 'boto3' in sys.modules)"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert printed == "<Retrying s3://bucket/p> False\n"
