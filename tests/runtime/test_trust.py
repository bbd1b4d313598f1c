"""Which stores of a specification are opened: none that its reader has not named, on a server that is not known."""

import pytest

from nnlite.errors import UsageError
from nnlite.runs import trust
from nnlite.store.servers import AWS, servers_of
from tests.runtime import small

ROWS = small.dataset(12, num_test=6)
S3 = "s3://bucket/runs"
EVIL = "s3://bucket/x?endpoint=http://evil.example:9000"


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("memory://x", set()),
        ("/some/where", {"file:///some/where"}),
        ("file:///some/with%20space/", {"file:///some/with space"}),
        (S3, {AWS}),
        (f"{S3}?region=eu-west-1", {AWS}),
        (f"{S3}?endpoint=http://Host", {"http://host:80"}),
        (f"{S3}?endpoint=https://host:9000/path", {"https://host:9000"}),
        (f"{S3}?endpoint=http%3A%2F%2Fhost%3A1", {"http://host:1"}),
        (f"{S3}?cache=memcached://near", {AWS, "memcached://near:11211"}),
        ("memcached://b,A:1/x", {"memcached://a:1", "memcached://b:11211"}),
        ("memcached://a/x?cache=s3://b/c%3Fendpoint%3Dhttp://e", {"memcached://a:11211", "http://e:80"}),
    ],
)
def test_what_a_store_would_have_us_speak_to(url: str, servers: set[str]) -> None:
    assert servers_of(url) == servers


@pytest.mark.parametrize(
    ("url", "beside", "named"),
    [
        ("s3://other/x", "memcached://a/x", []),  # signed for AWS, as it is configured here
        ("s3://other/x", S3, []),
        ("s3://other/x?endpoint=http://h:1", "s3://bucket/y?endpoint=http://h:1", []),
        (EVIL, S3, [EVIL]),
        (EVIL, S3, [None, "s3://elsewhere/y?endpoint=http://evil.example:9000"]),
        ("memcached://a,b/x", "memcached://b:11211,a/y?timeout_s=3", []),
        ("file:///big/disk", "memcached://a/x", ["/big/disk/"]),
        ("file:///same", "/same", []),
    ],
)
def test_what_is_known_may_be_opened(url: str, beside: str, named: list[str | None]) -> None:
    for stores in ({"checkpoint_store": url, "checkpoint_every": 1}, {"data_store": url}):
        trust.check_spec(spec(**stores), beside, *named)


@pytest.mark.parametrize(
    ("url", "beside"),
    [
        (EVIL, S3),
        (EVIL, "/srv/mine/.nnlite"),
        (EVIL, "s3://bucket/x?endpoint=http://evil.example:9001"),
        (EVIL, "s3://bucket/x?endpoint=https://evil.example:9000"),
        ("s3://bucket/x?cache=s3://b/c%3Fendpoint%3Dhttp://evil", S3),
        ("memcached://internal:22/x", S3),
        ("memcached://a,b/x", "memcached://a/x"),
        ("file:///srv/mine/.ssh", "/shared/.nnlite"),
        ("/srv/mine/.ssh", "memcached://a/x"),
        ("s3://bucket/x?cache=/srv/mine", S3),
    ],
)
def test_what_is_not_known_is_one_line_that_says_how_to_trust_it(url: str, beside: str) -> None:
    for name, stores in (
        ("checkpoint_store=", {"checkpoint_store": url, "checkpoint_every": 1}),
        ("data_store=", {"data_store": url}),
    ):
        with pytest.raises(
            UsageError, match=f"on another server than .*: if you trust that, say so by {name}"
        ) as caught:
            trust.check_spec(spec(**stores), beside, None)
        assert str(caught.value).isprintable()
    with pytest.raises(UsageError, match="where it is listed: it is not opened"):
        trust.check_url(url, beside)


def test_of_a_url_that_cannot_be_meant_nothing_is_shown_raw() -> None:
    with pytest.raises(UsageError) as caught:
        trust.check_spec(spec(checkpoint_store="s3://b/x?endpoint=http://h\x1b[31m", checkpoint_every=1), S3)
    assert str(caught.value).isprintable()


def spec(data_store: str | None = None, **more: object) -> "small.RunSpec":
    from dataclasses import replace

    of = small.spec(ROWS, 2, **more)
    return replace(of, data=replace(of.data, store=data_store))
