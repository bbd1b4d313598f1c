"""S3 servers that are not quite sound: what can work works, and what cannot is said in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nnlite.errors import Conflict, NotFound, StoreError, StoreUnavailable, UsageError
from nnlite.store import ABSENT, Store, Version, promises
from nnlite.store.retry import Retrying
from nnlite.store.s3 import S3Store, client
from tests.s3_proxy import SOUND, UNSOUND, Fault, Proxy, error, misbehaving
from tests.servers import BUCKET, free_ports, s3_client
from tests.store.contract import in_threads
from tests.store.test_s3 import fresh_url
from tests.web import Answer

NUM_WRITERS, NUM_SWAPS = 3, 4
NEWER = ("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer")


@pytest.fixture(autouse=True)
def _credentials(credentials: None) -> None:
    """No test here ever sees the credentials of whoever runs it."""


@pytest.fixture
def own_session() -> Iterator[None]:
    """boto3 reads the configuration once a session."""
    client.forget_session()
    yield
    client.forget_session()


Before = Callable[..., Proxy]


@pytest.fixture
def before(s3: str) -> Iterator[Before]:
    """before(*modes): a proxy before the server."""
    with ExitStack() as stack:
        yield lambda *modes: stack.enter_context(misbehaving(s3, *modes))


def opened(proxy: Proxy) -> S3Store:
    store = S3Store.from_url(fresh_url(proxy.web.url))
    store._sleep = lambda seconds: None
    return store


def patient(store: Store) -> Retrying:
    """As stores are opened, but for the waits."""
    return Retrying(store, attempts=12, base_s=0.001, cap_s=0.01)


def key_in(store: S3Store, key: str) -> str:
    return f"{store._prefix}{key}"


# What can work


@pytest.mark.parametrize("mode", SOUND)
def test_the_three_verbs_hold(mode: str, before: Before) -> None:
    proxy = before(mode)
    with patient(opened(proxy)) as store:
        promises.try_out(store)
        store.put("a", b"counted 1", if_version=ABSENT)
        with pytest.raises(Conflict):
            store.put("a", b"other", if_version=ABSENT)
        first = store.get("a")
        store.put("a", b"counted 2", if_version=first.version)
        with pytest.raises(Conflict):
            store.put("a", b"late", if_version=first.version)
        assert store.get("a").data == b"counted 2"
        with pytest.raises(NotFound):
            store.get("b")
        names = [f"many/{number}" for number in range(20)]
        for name in names:
            store.put(name, name.encode() * 1000)
        assert [found and found.data for found in store.get_many([*names, "b"])] == [
            *(name.encode() * 1000 for name in names), None
        ]  # fmt: skip
        if mode != "nodel":
            store.delete_many(["b", *names])
            assert store.get_many(names) == [None] * len(names)
            store.delete("a")
            with pytest.raises(NotFound):
                store.get("a")


@pytest.mark.parametrize("mode", ["slow", "c409", "reset", "weak"])
def test_no_swap_is_lost(mode: str, before: Before) -> None:
    """A swap whose reply is lost may be made twice, if others came in between; all others are made once."""
    with patient(opened(before(mode))) as store:
        store.put("n", b"0 nobody")
        in_threads(lambda writer: count(store, writer), NUM_WRITERS)
        assert int(store.get("n").data.split()[0]) == NUM_WRITERS * NUM_SWAPS


def count(store: Store, writer: int) -> None:
    """Add 1, `NUM_SWAPS` times, in values that nobody else writes."""
    done = 0
    while done < NUM_SWAPS:
        old = store.get("n")
        try:
            store.put("n", b"%d by %d" % (int(old.data.split()[0]) + 1, writer), if_version=old.version)
            done += 1
        except Conflict:
            continue


def test_a_body_that_is_damaged_is_asked_for_again(before: Before) -> None:
    store = opened(before("flip"))
    store.put("a", b"one")
    found = []
    for _ in range(10):
        try:
            found.append(store.get("a").data)
        except StoreUnavailable as error:
            found.append(str(error).partition(" (expected MD5 ")[0][-24:].encode())
    assert sorted(found, key=len) == [b"one"] * 8 + [b"broke off or was damaged"] * 2


def test_a_body_that_stays_damaged_is_no_value(s3: str) -> None:
    """At rest, or by a proxy that keeps copies."""
    store = S3Store.from_url(fresh_url(s3))
    store.put("a", b"one")
    server, name = s3_client(s3), key_in(store, "a")
    metadata = server.head_object(Bucket=BUCKET, Key=name)["Metadata"]
    server.put_object(Bucket=BUCKET, Key=name, Body=b"One", Metadata=metadata)
    with pytest.raises(StoreUnavailable, match=r"'a' in s3://.*damaged .*gave up after 3 attempts"):
        Retrying(store, attempts=3, base_s=0.001).get("a")


def test_objects_of_other_programs_can_be_read(s3: str) -> None:
    """They say nothing of their MD5."""
    store = S3Store.from_url(fresh_url(s3))
    s3_client(s3).put_object(Bucket=BUCKET, Key=key_in(store, "a"), Body=b"one")
    assert store.get("a").data == b"one"


@pytest.mark.usefixtures("own_session")
def test_a_checksum_of_the_server_is_compared_as_well(before: Before, monkeypatch: pytest.MonkeyPatch, s3: str) -> None:
    """Of what others have written there, if the user has chosen that."""
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported")
    store = opened(before("flip"))
    name = key_in(store, "a")
    s3_client(s3).put_object(Bucket=BUCKET, Key=name, Body=b"one", ChecksumAlgorithm="CRC32")
    assert [store.get("a").data for _ in range(4)] == [b"one"] * 4
    with pytest.raises(StoreUnavailable, match=r"damaged \(Expected checksum"):
        store.get("a")


# Checksums and other settings


def headers_of(proxy: Proxy, method: str) -> set[str]:
    return {name.lower() for request in proxy.asked if request.method == method for name in request.headers}


def used(store: S3Store) -> None:
    """Each kind of request."""
    store.put("a", b"one")
    store.get("a")
    store.delete_many(["a", "b"])


def test_without_a_choice_every_server_understands_us(before: Before) -> None:
    proxy = before("pass")
    used(opened(proxy))
    for method in ("PUT", "POST"):
        assert "content-md5" in headers_of(proxy, method)
    for method in ("PUT", "POST", "GET"):
        assert not [name for name in headers_of(proxy, method) if name.startswith((*NEWER, "x-amz-checksum-mode"))]


@pytest.mark.usefixtures("own_session")
@pytest.mark.parametrize("where", ["environment", "profile"])
def test_checksums_that_the_user_has_chosen_are_sent(
    where: str, before: Before, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if where == "environment":
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    else:
        (tmp_path / "config").write_text("[profile mine]\nrequest_checksum_calculation = when_supported\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "mine")
    proxy = before("pass")
    used(opened(proxy))
    for method in ("PUT", "POST"):
        assert "x-amz-checksum-crc32" in headers_of(proxy, method)


@pytest.mark.usefixtures("own_session")
def test_of_checksums_that_a_server_does_not_know_it_is_said_who_asks_for_them(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    with pytest.raises(StoreError, match=r"says 501 NotImplemented: .*; .*AWS_REQUEST_CHECKSUM_CALCULATION"):
        opened(before("nochk")).put("k", b"v", if_version=ABSENT)


@pytest.mark.usefixtures("own_session")
def test_a_server_that_the_environment_names_is_treated_alike(before: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ?endpoint= in the URL, as AWS' own tools are pointed to a server."""
    proxy = before("nochk")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.web.url)
    store = S3Store.from_url(fresh_url("x").partition("?")[0])
    used(store)
    assert store.is_foreign()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", nobody := f"http://127.0.0.1:{free_ports(1)[0]}")
    client.forget_session()
    with pytest.raises(StoreUnavailable, match=nobody):
        S3Store.from_url(store.url).get("a")


@pytest.mark.parametrize(
    ("endpoint", "is_foreign"),
    [
        ("", False),
        ("https://s3.eu-west-1.amazonaws.com", False),
        ("https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", False),
        ("https://s3.cn-north-1.amazonaws.com.cn", False),
        ("https://amazonaws.com.example.org", True),
        ("https://s3.fr-par.scw.cloud", True),
    ],
)
def test_aws_is_known_by_its_address(endpoint: str, is_foreign: bool) -> None:
    assert S3Store("bucket", endpoint=endpoint, region="eu-west-1").is_foreign() == is_foreign


@pytest.mark.usefixtures("own_session")
def test_region_and_addressing_style_of_the_profile_are_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def address(region: str = "") -> str:
        s3 = S3Store("bucket", endpoint="https://s3.example.org", region=region)._s3()
        options = {"Bucket": "bucket", "Key": "a"}
        return str(s3.generate_presigned_url("get_object", options)) + f" region={s3.meta.region_name}"

    plain = address()
    assert plain.startswith("https://s3.example.org/bucket/a?")
    assert plain.endswith("region=us-east-1")
    (tmp_path / "config").write_text("[default]\nregion = garage\ns3 =\n    addressing_style = virtual\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    client.forget_session()
    chosen = address()
    assert chosen.startswith("https://bucket.s3.example.org/a?")
    assert chosen.endswith("region=garage")
    assert address("fr-par").endswith("region=fr-par")


@pytest.mark.usefixtures("own_session")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ENDPOINT_URL", "no url", "boto3 cannot be used as it is configured: Invalid endpoint: no url"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "often", "request_checksum_calculation"),
        ("AWS_PROFILE", "nobody", r"profile \(nobody\) could not be found; AWS_PROFILE names it"),
        ("AWS_CONFIG_FILE", __file__, "Unable to parse config file"),
    ],
)
@pytest.mark.parametrize(
    "first",
    [lambda store: store.get("a"), lambda store: store.put("a", b"x"), promises.check, lambda store: store.folders("")],
    ids=["get", "put", "check", "folders"],
)
def test_a_configuration_that_cannot_be_meant(
    first: Callable[[S3Store], object], name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own words, whatever is asked for first, and no question whether AWS is an S3 server."""
    monkeypatch.setenv(name, value)
    with pytest.raises((StoreError, UsageError), match=words) as caught:
        first(S3Store("bucket"))
    assert "S3 server" not in str(caught.value)


# Deleting


def test_a_server_without_bulk_deletion_is_asked_for_it_once(before: Before) -> None:
    proxy = before("nobulk")
    store = opened(proxy)
    for _ in range(3):
        store.delete_many([f"k{number}" for number in range(5)])
    assert [request.method for request in proxy.asked].count("POST") == 1
    assert [request.method for request in proxy.asked].count("DELETE") == 15


def test_key_by_key_only_what_got_no_answer_is_deleted_again(before: Before) -> None:
    proxy = before("nobulk", "slow", "reset", "c409")
    names = [f"k{number}" for number in range(30)]
    with patient(opened(proxy)) as store:
        for name in names:
            store.put(name, b"x")
        store.delete_many(names)
        assert store.missing(names) == names
    assert len([request for request in proxy.asked if request.method == "DELETE"]) < 3 * len(names)


def test_who_may_not_delete_at_all_reads_why(before: Before) -> None:
    with pytest.raises(StoreError, match=r"cannot delete 'k1' .*403 AccessDenied: Nothing is deleted here"):
        opened(before("nodel")).delete_many(["k1"])


@pytest.mark.parametrize(("code", "kind"), [("SlowDown", StoreUnavailable), ("AccessDenied", StoreError)])
def test_one_of_many_that_is_not_deleted(s3: str, code: str, kind: type[StoreError]) -> None:
    body = f"<DeleteResult><Error><Key>p/k1</Key><Code>{code}</Code><Message>Locked.</Message></Error></DeleteResult>"
    proxy = Proxy(s3, Fault(instead=Answer(200, body.encode())))
    store = S3Store(BUCKET, "p", endpoint=proxy.web.url)
    with pytest.raises(kind, match=f"cannot delete 'k1' in .*the server says {code}: Locked") as caught:
        store.delete_many(["k1", "k2"])
    assert isinstance(caught.value, StoreUnavailable) == (kind is StoreUnavailable)
    proxy.web.close()


def test_one_of_many_that_was_not_there_is_deleted(s3: str) -> None:
    body = "<DeleteResult><Error><Key>p/k1</Key><Code>NoSuchKey</Code><Message>Gone.</Message></Error></DeleteResult>"
    proxy = Proxy(s3, Fault(instead=Answer(200, body.encode())))
    S3Store(BUCKET, "p", endpoint=proxy.web.url).delete_many(["k1", "k2"])
    assert len(proxy.asked) == 1
    proxy.web.close()


def test_a_server_that_is_busy_once_goes_on_deleting_many_at_once(before: Before) -> None:
    proxy = before("slow")
    store = opened(proxy)
    for _ in range(6):
        store.missing(["a"])
    with pytest.raises(StoreUnavailable):
        store.delete_many(["k1", "k2"])
    store.delete_many(["k1", "k2"])
    assert [request.method for request in proxy.asked[6:]] == ["POST", "POST"]


@pytest.mark.parametrize("mode", ["slow", "reset", "lost"])
def test_what_is_missing_is_told_right_when_answers_are_lost(mode: str, before: Before) -> None:
    names = [f"k{number}" for number in range(30)]
    with patient(opened(before(mode))) as store:
        for name in names[::2]:
            store.put(name, b"x")
        assert store.missing(names) == names[1::2]


def test_looking_for_what_one_may_not_see_is_no_broken_answer(before: Before) -> None:
    """The answer to a HEAD has no body, so none of it is lost."""
    with pytest.raises(StoreError, match=r"cannot look for 'a' .*403") as caught:
        opened(before("denied")).missing(["a"])
    assert not isinstance(caught.value, StoreUnavailable)


# What cannot work


LINES = {
    "nocond": "the server ignores If-None-Match: it creates what is there already; use another server",
    "noswap": "the server ignores If-Match: it overwrites a newer value, so updates would be lost",
    "nocreate": r"the server refuses to create what is not there \(If-None-Match: \*\); use another server",
    "condni": "501 NotImplemented: A header you provided .*; nnlite needs a server with conditional writes",
    "gzip": r'the server gives the ETag ".*-gzip" and refuses an If-Match of it',
    "skew": "403 RequestTimeTooSkewed: The difference .* is too large; this machine's clock is more than 15 minutes",
    "expired": "400 ExpiredToken: The provided token has expired; log in again",
    "denied": "403 AccessDenied: Access Denied; allow s3:GetObject",
    "kms": "403 AccessDenied: User: .* is not authorized to perform: kms:GenerateDataKey on this resource; allow kms:",
    "payer": "403 AccessDenied: Requester pays bucket; allow",
    "html": "success was answered, but with no ETag; was it http://127[^ ]* that answered, or a login page",
    "redirect": r"301 PermanentRedirect: The bucket must .*; the bucket is in another .*\?region=eu-west-1 to store=",
}


@pytest.mark.parametrize("mode", UNSOUND)
def test_a_server_that_no_run_can_be_begun_on_is_refused_in_a_line(mode: str, before: Before) -> None:
    proxy = before(mode)
    with Retrying(opened(proxy), base_s=0.001) as store, pytest.raises(StoreError, match=LINES[mode]) as caught:
        promises.check(store)
    assert not isinstance(caught.value, (NotFound, Conflict, StoreUnavailable))
    assert len(str(caught.value).splitlines()) == 1
    assert store.url in str(caught.value)


def test_the_check_leaves_nothing_and_costs_seven_requests(before: Before, s3: str) -> None:
    proxy = before("pass")
    store = opened(proxy)
    promises.check(store)
    assert [request.method for request in proxy.asked] == ["PUT", "PUT", "GET", "PUT", "PUT", "GET", "DELETE"]
    assert "Contents" not in s3_client(s3).list_objects_v2(Bucket=BUCKET, Prefix=store._prefix)


def test_a_check_outlasts_a_busy_server(before: Before) -> None:
    proxy = before("slow")
    store = opened(proxy)
    for _ in range(3):  # so that the seventh request, which it refuses, is the second swap
        store.missing(["a"])
    promises.check(store)
    assert [request.method for request in proxy.asked[3:]] == [
        "PUT",
        "PUT",
        "GET",
        "PUT",
        "PUT",
        "PUT",
        "GET",
        "DELETE",
    ]


def test_aws_is_not_checked() -> None:
    """Nor is any other kind of store."""

    class Aws:
        class meta:  # noqa: N801
            endpoint_url = "https://s3.eu-west-1.amazonaws.com"

    promises.check(Retrying(S3Store("bucket", client=Aws())))


def test_a_swap_that_a_proxy_makes_impossible_ends(before: Before) -> None:
    """It was tried for ever: a conflict with the very version that was read."""
    store, waited = opened(before("gzip")), list[float]()
    store._sleep = waited.append
    store.put("a", b"one")
    with pytest.raises(StoreError, match=LINES["gzip"]):
        store.put("a", b"two", if_version=store.get("a").version)
    assert len(waited) <= 6


def test_a_late_read_is_no_broken_server(s3: str) -> None:
    """A read may be older than the write that refused ours; the next one says what it met."""
    stale = Fault(lambda request: request.method == "PUT", error(412, "PreconditionFailed", "no"), every=2)
    proxy = Proxy(s3, stale)
    store = S3Store.from_url(fresh_url(proxy.web.url))
    store.put("a", b"one")
    store.put("a", b"two", if_version=store.get("a").version)
    assert store.get("a").data == b"two"
    proxy.web.close()


def test_an_etag_that_is_none_is_refused(s3: str) -> None:
    proxy = Proxy(s3, Fault(changed=lambda answer: answer._replace(headers=(("ETag", '"*"'),))))
    store = S3Store.from_url(fresh_url(proxy.web.url))
    requests: list[Callable[[], Any]] = [lambda: store.put("a", b"one"), lambda: store.get("a")]
    for request in requests:
        with pytest.raises(StoreError, match=r'success was answered, but with the ETag "\*"'):
            request()
    proxy.web.close()


@pytest.mark.parametrize("words", ["\x1b[31mred\x1b[0m and\nmore", "x" * 5000])
def test_words_of_a_server_are_shown_as_text(words: str) -> None:
    from nnlite.store.s3 import errors

    said = str(errors.refusal("cannot read 'a'", "Teapot", 418, words))
    assert said.isprintable()
    assert len(said) < 400


def test_versions_are_one_form(before: Before) -> None:
    """Whatever the server makes of its ETags, the same object has the same version."""
    versions = set[Version]()
    for mode in ("pass", "unq", "weak"):
        store = opened(before(mode))
        store.put("a", b"one")
        versions.add(store.get("a").version)
    assert len(versions) == 1
