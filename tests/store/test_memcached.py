"""The store in memcached: the contract on one server and on three, and what only memcached does: it forgets."""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymemcache.client.base import Client

from nnlite.errors import Conflict, NotFound, StoreError, StoreUnavailable, UsageError
from nnlite.store import ABSENT, Store, open_store
from nnlite.store.memcached import MemcachedStore
from nnlite.store.memcached import store as module
from nnlite.store.memcached.manifest import Manifest, cut
from tests.servers import Memcached, free_ports, need_memcached

from .contract import OpenAgain, SharedStoreContract

BIG = bytes(range(256)) * 40  # 10,240 bytes: three chunks of 4096


def fresh_prefix() -> str:
    return uuid.uuid4().hex[:8]


class TestOneServer(SharedStoreContract):
    @pytest.fixture
    def open_again(self, memcached: Memcached) -> OpenAgain:
        url = f"memcached://{memcached.address}/{fresh_prefix()}"
        return lambda: MemcachedStore.from_url(url)


class TestThreeServersInSmallChunks(SharedStoreContract):
    """4 KB a chunk, so most values of the contract have many."""

    @pytest.fixture
    def open_again(self, three_memcached: list[Memcached]) -> OpenAgain:
        addresses = ",".join(server.address for server in three_memcached)
        url = f"memcached://{addresses}/{fresh_prefix()}?chunk_bytes=4096"
        return lambda: MemcachedStore.from_url(url)


class TestAsItIsOpened(SharedStoreContract):
    """Behind `Retrying`, without a prefix, by a name."""

    @pytest.fixture
    def open_again(self, memcached: Memcached) -> OpenAgain:
        client = raw_client(memcached)
        client.flush_all()
        client.close()
        return lambda: open_store(f"memcached://localhost:{memcached.port}")


def raw_client(server: Memcached) -> Client:
    return Client(("127.0.0.1", server.port), default_noreply=False, connect_timeout=2, timeout=5)


@pytest.fixture
def fresh() -> Iterator[Memcached]:
    """A server whose items can be counted: in one that has been used, deleted ones still go."""
    need_memcached()
    with Memcached("-m", "64") as server:
        yield server


@pytest.fixture
def raw(fresh: Memcached) -> Iterator[Client]:
    """What sees the items themselves."""
    client = raw_client(fresh)
    yield client
    client.close()


@pytest.fixture
def url(fresh: Memcached) -> str:
    return f"memcached://{fresh.address}/p{fresh_prefix()}?chunk_bytes=4096"


@pytest.fixture
def store(url: str) -> Iterator[MemcachedStore]:
    with MemcachedStore.from_url(url) as store:
        yield store


@pytest.fixture
def own() -> Iterator[Memcached]:
    """A server that a test may stop."""
    need_memcached()
    with Memcached("-m", "64") as server:
        yield server


def prefix_of(store: Store) -> str:
    return store.url.rsplit("/", 1)[1].partition("?")[0]


def chunk_items(store: MemcachedStore, raw: Client, key: str) -> list[str]:
    """The names of the items with the chunks of a value."""
    manifest = Manifest.decode(raw.get(f"{prefix_of(store)}/{key}"))
    assert manifest is not None
    return [f"{prefix_of(store)}/{name}" for name in manifest.chunk_names()]


def num_items(raw: Client) -> int:
    return int(raw.stats()[b"curr_items"])


# Chunks


def test_cutting_and_joining() -> None:
    parts = [memoryview(b"header"), memoryview(b""), memoryview(bytes(range(100)))]
    for size in (1, 7, 106, 105, 1000):
        chunks = list(cut(parts, size))
        assert b"".join(chunks) == b"header" + bytes(range(100))
        assert {len(chunk) for chunk in chunks[:-1]} <= {size}
        assert 0 < len(chunks[-1]) <= size
    assert list(cut([], 5)) == []


@pytest.mark.parametrize("size", [0, 4095, 4096, 4097, 8192])
def test_a_value_of_one_chunk_lies_in_the_manifest(store: MemcachedStore, raw: Client, size: int) -> None:
    store.put("a", b"x" * size)
    expected = 0 if size <= 4096 else 2
    assert len(chunk_items(store, raw, "a")) == expected
    assert store.get("a").data == b"x" * size


def test_the_default_chunk_fits_into_an_item_with_the_longest_name(memcached: Memcached) -> None:
    store = MemcachedStore([("127.0.0.1", memcached.port)], "p" * module.MAX_PREFIX_LENGTH)
    for size in (module.MAX_CHUNK_BYTES, module.MAX_CHUNK_BYTES + 1, 3 * module.MAX_CHUNK_BYTES):
        store.put("k" * 200, b"x" * size)
        assert len(store.get("k" * 200).data) == size
    store.delete("k" * 200)


def test_nothing_is_left_of_what_was_replaced_deleted_or_refused(store: MemcachedStore, raw: Client) -> None:
    before = num_items(raw)
    store.put("a", BIG)
    store.put("a", BIG[::-1])
    assert num_items(raw) == before + 4
    with pytest.raises(Conflict):
        store.put("a", BIG, if_version=ABSENT)
    store.put("a", BIG, if_version=store.get("a").version)
    assert num_items(raw) == before + 4
    store.put("a", b"small")
    store.put("b", BIG)
    store.delete("a")
    store.delete("b")
    assert raw.get_many([f"{prefix_of(store)}/{key}" for key in "ab"]) == {}
    assert num_items(raw) == before


def test_who_loses_a_race_takes_its_chunks_away(
    store: MemcachedStore, raw: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, before = MemcachedStore.from_url(url), num_items(raw)

    def overtaken(*arguments: Any) -> Manifest:
        manifest = MemcachedStore._write(store, *arguments)
        other.put("a", b"faster")
        return manifest

    monkeypatch.setattr(store, "_write", overtaken)
    with pytest.raises(Conflict, match="expected no value, found version"):
        store.put("a", BIG, if_version=ABSENT)
    assert num_items(raw) == before + 1
    assert store.get("a").data == b"faster"


def test_a_write_that_fails_half_way_takes_its_chunks_away(
    store: MemcachedStore, raw: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a", b"old")
    before, real, num_sets = num_items(raw), Client.set, 0

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal num_sets
        num_sets += 1
        if num_sets == 3:
            raise ConnectionResetError(104, "Connection reset by peer")
        return real(*arguments, **options)

    monkeypatch.setattr(Client, "set", failing)
    with pytest.raises(StoreUnavailable):
        store.put("a", BIG)
    assert num_items(raw) == before
    assert store.get("a").data == b"old"


def test_a_chunk_that_is_not_stored_is_an_error(
    store: MemcachedStore, raw: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NOT_STORED, which some servers that speak this protocol answer to a set."""
    store.put("a", b"old")
    before, real = num_items(raw), Client.set

    def refused(client: Client, name: str, *arguments: Any, **options: Any) -> Any:
        return not name.endswith(".1") and real(client, name, *arguments, **options)

    monkeypatch.setattr(Client, "set", refused)
    with pytest.raises(StoreError, match="a chunk was not stored"):
        store.put("a", BIG)
    assert num_items(raw) == before
    assert store.get("a").data == b"old"


def test_a_thousand_long_keys_in_one_request(store: MemcachedStore) -> None:
    keys = [f"{number:04}".ljust(200, "k") for number in range(1000)]
    for key in keys[::100]:
        store.put(key, key.encode())
    found = store.get_many(keys)
    assert [value.data.decode() for value in found if value] == keys[::100]


def test_a_delete_takes_only_what_it_has_seen(store: MemcachedStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its look and its write, another handle writes: that value goes in a second turn, with its chunks."""
    other, seen = MemcachedStore.from_url(url), []
    store.put("a", b"one")

    def overtaken(*arguments: Any) -> Any:
        found = MemcachedStore._find(store, *arguments)
        if not seen:
            other.put("a", BIG)
        seen.append(found)
        return found

    monkeypatch.setattr(store, "_find", overtaken)
    store.delete("a")
    assert len(seen) == 2
    assert other.get_many(["a"]) == [None]


def test_who_is_always_overtaken_gives_up(
    store: MemcachedStore, raw: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = MemcachedStore.from_url(url)
    other.put("a", b"one")
    before = num_items(raw)

    def overtaken(*arguments: Any) -> Any:
        found = MemcachedStore._find(store, *arguments)
        other.put("a", b"faster")
        return found

    monkeypatch.setattr(store, "_find", overtaken)
    for write in (lambda: store.put("a", BIG), lambda: store.delete("a")):
        with pytest.raises(StoreUnavailable, match="100 other writers were faster"):
            write()
    assert num_items(raw) == before
    assert other.get("a").data == b"faster"


def test_a_value_of_too_many_chunks_is_refused_before_one_is_written(
    store: MemcachedStore, raw: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CHUNKS", 2)
    with pytest.raises(StoreError, match="10,240 bytes are 3 chunks, 2 can be: raise chunk_bytes"):
        store.put("a", BIG)
    assert num_items(raw) == 0


# Evictions


def test_an_evicted_chunk_is_not_found_and_counted(store: MemcachedStore, raw: Client) -> None:
    store.put("a", BIG)
    version = store.get("a").version
    raw.delete(chunk_items(store, raw, "a")[1])
    with pytest.raises(NotFound, match=r"'a' in memcached://.*: 1 of 3 chunks evicted; give memcached more memory"):
        store.get("a")
    raw.delete(chunk_items(store, raw, "a")[0])
    with pytest.raises(NotFound, match="2 of 3 chunks evicted"):
        store.get("a")
    assert store.get_many(["a"]) == [None]
    assert store.missing(["a"]) == ["a"]
    with pytest.raises(Conflict, match="found no value"):
        store.put("a", b"swapped", if_version=version)


def test_what_was_evicted_can_be_created_again(store: MemcachedStore, raw: Client) -> None:
    """Else its readers would find nothing, and its writer a conflict, for ever."""
    store.put("a", BIG)
    raw.delete(chunk_items(store, raw, "a")[2])
    store.put("a", BIG, if_version=ABSENT)
    assert store.get("a").data == BIG
    with pytest.raises(Conflict):
        store.put("a", BIG, if_version=ABSENT)


def test_a_full_server_forgets_whole_values() -> None:
    need_memcached()
    with Memcached("-m", "16") as server, open_store(f"memcached://{server.address}/r") as store:
        values = {f"ckpt/{number}": bytes([number]) * 2_500_000 for number in range(20)}
        for key, value in values.items():
            store.put(key, value, if_version=ABSENT)
        found = store.get_many(values)
        assert {key for key, value in zip(values, found, strict=True) if value and value.data != values[key]} == set()
        assert found[0] is None
        assert found[-1] is not None
        with pytest.raises(NotFound):
            store.get("ckpt/0")


def test_a_reader_that_is_overtaken_reads_again(
    store: MemcachedStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, real, newer = MemcachedStore.from_url(url), store._read_chunks, [BIG[::-1], b"small"]
    store.put("a", BIG)

    def overtaken(manifest: Manifest) -> Any:
        if newer:
            other.put("a", newer.pop(0))
        return real(manifest)

    monkeypatch.setattr(store, "_read_chunks", overtaken)
    assert store.get("a").data == b"small"

    store.put("a", BIG)
    newer.append(b"")
    monkeypatch.setattr(other, "put", lambda key, data: other.delete(key))
    with pytest.raises(NotFound, match="no key 'a'"):
        store.get("a")


# What is not ours


IMPOSSIBLE = [  # num_bytes, num_chunks, checksum and what follows
    f"nnlite1 {'0' * 16} {claim}".encode()
    for claim in (
        "999999999999999 999999999 00000001\n",  # a gigabyte of names
        "999999999999999 99999 00000001\n",
        f"{65_537 * 16} 65537 00000001\n",
        "2000001 2 00000001\n",  # more than two items hold
        "16 2 00000001\n",  # what needs one
        "1000 2 00620062\na",  # chunks, and a value behind the header as well
        "2 0 00620062\na",
    )
]


@pytest.mark.parametrize(
    "item", [b"", b"somebody's", b"nnlite1 xyz\n", b"nnlite2 " + b"0" * 16 + b" 1 0 00000001\n"] + IMPOSSIBLE
)
def test_a_foreign_object_is_named_and_left_alone(store: MemcachedStore, raw: Client, item: bytes) -> None:
    name = f"{prefix_of(store)}/a"
    raw.set(name, item)
    verbs: list[Callable[[], Any]] = [lambda: store.get("a"), lambda: store.get_many(["b", "a"])]
    verbs += [
        lambda: store.put("a", b"mine"),
        lambda: store.put("a", b"", if_version=ABSENT),
        lambda: store.delete("a"),
    ]
    for verb in verbs:
        with pytest.raises(
            StoreError, match=r"'a' in memcached://.* is damaged or foreign: expected a manifest"
        ) as caught:
            verb()
        assert not isinstance(caught.value, (NotFound, Conflict))
    assert raw.get(name) == item


def test_damage_to_a_small_value_is_seen(store: MemcachedStore, raw: Client) -> None:
    store.put("a", b"value")
    name = f"{prefix_of(store)}/a"
    item = raw.get(name)
    for damaged in (item[:-1], item + b"x", item[:-1] + b"X"):
        raw.set(name, damaged)
        with pytest.raises(StoreError, match="damaged or foreign"):
            store.get("a")
    raw.set(name, item)
    assert store.get("a").data == b"value"


def test_a_chunk_of_another_size_is_seen_and_can_be_replaced(store: MemcachedStore, raw: Client) -> None:
    store.put("a", BIG)
    raw.set(chunk_items(store, raw, "a")[1], b"somebody's")
    with pytest.raises(StoreError, match=r"'a'.* is damaged: 6,154 bytes that are not the 10,240 that were") as caught:
        store.get("a")
    assert not isinstance(caught.value, NotFound)
    store.put("a", BIG)
    assert store.get("a").data == BIG


def test_items_that_the_server_refuses_leave_the_old_value() -> None:
    """memcached's own `set` would delete it."""
    need_memcached()
    with Memcached("-m", "64", "-I", "512k") as server:
        store = MemcachedStore([("127.0.0.1", server.port)])
        store.put("a", b"old")
        for value in (b"x" * 800_000, b"x" * 2_000_000):
            with pytest.raises(
                StoreError, match=r"too large for cache; start it with larger items \(-I 2m\), or set"
            ) as caught:
                store.put("a", value)
            assert not isinstance(caught.value, StoreUnavailable)
        assert store.get("a").data == b"old"
        with MemcachedStore.from_url(f"{store.url}?chunk_bytes=400000") as smaller:
            smaller.put("a", b"x" * 2_000_000)
            assert len(smaller.get("a").data) == 2_000_000


# Servers that go and come


def test_a_server_that_is_not_there_is_named_with_its_flag() -> None:
    port = free_ports(1)[0]
    store = MemcachedStore([("127.0.0.1", port)], "r")
    verbs: list[Callable[[], Any]] = [lambda: store.get("a"), lambda: store.put("a", b""), lambda: store.delete("a")]
    for verb in [*verbs, lambda: store.get_many(["a"]), lambda: store.put("a", b"x" * 2_000_000)]:
        with pytest.raises(
            StoreUnavailable, match=rf"127\.0\.0\.1:{port} \(store='memcached.*'\) cannot be reached: conn"
        ):
            verb()


def test_a_name_with_two_addresses_is_asked_by_the_old_protocol_first(
    memcached: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As "localhost" has on many machines, where memcached listens on 127.0.0.1 only."""
    six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", memcached.port, 0, 0))
    four = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", memcached.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [six, four])
    with MemcachedStore([("both.example", memcached.port)], fresh_prefix()) as store:
        store.put("a", b"one")


def test_a_name_with_several_addresses_is_refused(memcached: Memcached, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a headless service of Kubernetes has, or round-robin DNS: two writers would come to two servers."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", memcached.port)) for n in (1, 2)]
    six = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"::{n}", memcached.port, 0, 0)) for n in (1, 2)]
    answers = itertools.cycle([found, found[::-1]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: next(answers))
    url, prefix = f"memcached://two.example:{memcached.port}", fresh_prefix()
    listed = rf"list them, in every store=: memcached://127\.0\.0\.1:{memcached.port},127\.0\.0\.2:{memcached.port}/"
    for _ in range(2):
        with open_store(f"{url}/{prefix}") as store:
            with pytest.raises(StoreError, match=f"this name has 2 addresses.*{listed}") as caught:
                store.put("a", b"one", if_version=ABSENT)
            assert not isinstance(caught.value, StoreUnavailable)  # nor is it asked again
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: six)
    with (
        open_store(f"{url}/{prefix}") as store,
        pytest.raises(StoreError, match=r"memcached://\[::1\]:\d+,\[::2\]:\d+/"),
    ):
        store.get("a")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [found[0], found[0], *six])
    with open_store(f"{url}/{prefix}") as store:
        store.put("a", b"one", if_version=ABSENT)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder whose files the user that memcached runs as can read; tmp_path is closed to others."""
    with tempfile.TemporaryDirectory(prefix="nnlite-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_server_that_wants_a_password_is_not_told_to_start(readable: Path) -> None:
    need_memcached()
    users = readable / "users"
    users.write_text("me:secret\n")
    users.chmod(0o644)
    with Memcached("-m", "64", "-Y", str(users)) as server, MemcachedStore([("127.0.0.1", server.port)]) as store:
        for verb in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: store.get_many(["a"])):
            with pytest.raises(StoreError, match=r": unauthenticated; it wants a password \(-Y\), and nnlite"):
                verb()


def test_a_server_that_wants_tls_is_not_told_to_start(readable: Path) -> None:
    need_memcached()
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine, to make a certificate with")
    key, cert = readable / "key", readable / "cert"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
    key.chmod(0o644)
    options = ("-m", "64", "-Z", "-o", f"ssl_chain_cert={cert},ssl_key={key}")
    with Memcached(*options) as server, MemcachedStore([("127.0.0.1", server.port)]) as store:
        with pytest.raises(StoreUnavailable, match=r"closes the connection.*; if it wants TLS \(-Z\)") as caught:
            store.get("a")
        assert "start it, or" not in str(caught.value)


def test_a_server_that_has_answered_may_have_been_restarted(own: Memcached) -> None:
    with MemcachedStore([("127.0.0.1", own.port)]) as store:
        store.put("a", b"")
        own.restart()
        with pytest.raises(StoreUnavailable, match=r"closed the connection.*; was it restarted"):
            store.get("a")


def test_a_host_that_has_no_address() -> None:
    with pytest.raises(StoreUnavailable, match=r"no-such-host\.invalid:11211 .*: no such host"):
        MemcachedStore.from_url("memcached://no-such-host.invalid/r").get("a")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_server_that_says_nothing_is_not_waited_for(listener: socket.socket) -> None:
    store = MemcachedStore([("127.0.0.1", listener.getsockname()[1])], timeout_s=0.2)
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"did not answer in 0\.2 s"):
        store.get("a")
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"does not speak memcached's protocol \(.*HTTP/1\.1 400"),
        (b"ERROR\r\n", "refuses a command"),
        (b"SERVER_ERROR out of memory storing object\r\n", "out of memory storing object; start it with more memory"),
        (b"", r"closes the connection without an answer; if it wants TLS \(-Z\) or SASL \(-S\): nnlite speaks"),
        (b"CLIENT_ERROR \x1b[31mno\r\n", r"refuses a command: \[31mno; is it"),
    ],
)
def test_answers_that_are_no_use(listener: socket.socket, answer: bytes, message: str) -> None:
    def reply() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(answer)

    thread = threading.Thread(target=reply)
    thread.start()
    with pytest.raises(StoreError, match=message) as caught:
        MemcachedStore([("127.0.0.1", listener.getsockname()[1])]).get("a")
    thread.join()
    assert isinstance(caught.value, StoreUnavailable) == (answer == b"")


def test_a_restart_is_an_eviction_of_everything(own: Memcached) -> None:
    with open_store(f"memcached://{own.address}/r") as store:
        store.put("a", b"one")
        own.restart()
        assert store.get_many(["a"]) == [None]  # `Retrying` has opened a new connection
        store.put("a", b"two", if_version=ABSENT)
        own.stop()
        soon = threading.Timer(0.3, own.start)
        soon.start()
        with pytest.raises(NotFound):
            store.get("a")
        soon.join()


def test_a_restart_costs_one_request_however_many_connections_there_were(own: Memcached) -> None:
    store = MemcachedStore([("127.0.0.1", own.port)])
    store.put("a", b"one")
    server = store._servers[0]
    with server.connection() as one, server.connection() as two, server.connection() as three:
        for client in (one, two, three):
            client.get("a")
    own.restart()
    with pytest.raises(StoreUnavailable):
        store.get("a")
    assert store.get_many(["a"]) == [None]


def test_a_version_does_not_come_back_after_a_restart(own: Memcached) -> None:
    """memcached's tokens begin again, so the first writes before and after have the same."""
    store, raw = MemcachedStore([("127.0.0.1", own.port)]), raw_client(own)
    store.put("a", b"one")
    old, token = store.get("a").version, raw.gets("a")[1]
    own.restart()
    raw.close()
    store = MemcachedStore([("127.0.0.1", own.port)])
    store.put("a", b"one")
    assert raw.gets("a")[1] == token, "this test needs the same token twice"
    with pytest.raises(Conflict):
        store.put("a", b"late", if_version=old)
    raw.close()


def test_a_restart_between_looking_and_swapping(own: Memcached, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token that was read is good again, for another value: only the broken connection tells."""
    store, other = (MemcachedStore([("127.0.0.1", own.port)]) for _ in range(2))
    store.put("a", b"one")
    old = store.get("a").version

    def restarted(*arguments: Any) -> None:
        own.restart()
        other.put("a", b"another run's")

    monkeypatch.setattr(store, "_check", restarted)
    with pytest.raises(StoreUnavailable):
        store.put("a", b"late", if_version=old)
    assert other.get("a").data == b"another run's"


def test_one_of_three_down_is_an_error_for_its_keys_and_for_no_other(own: Memcached) -> None:
    need_memcached()
    with Memcached("-m", "64") as two, Memcached("-m", "64") as three:
        servers = [own, two, three]
        url = f"memcached://{','.join(server.address for server in servers)}/r"
        store, keys = MemcachedStore.from_url(url), [f"k/{number}" for number in range(30)]
        for key in keys:
            store.put(key, key.encode())
        store.put("big", b"x" * 4_000_000)
        counts = []
        for server in servers:
            with_one = raw_client(server)
            counts.append(num_items(with_one))
            with_one.close()
        assert min(counts) > 5
        own.stop()
        down = 0
        for key in keys:
            try:
                assert store.get(key).data == key.encode()
            except StoreUnavailable as error:
                assert own.address in str(error)  # noqa: PT017
                with pytest.raises(StoreUnavailable):
                    store.put(key, b"new")
                down += 1
        assert counts[0] - 3 <= down < counts[0]  # of its items one or two are chunks, and one may be their manifest
        for verb in (lambda: store.get_many(keys), lambda: store.get("big")):
            with pytest.raises(StoreUnavailable, match=own.address):
                verb()
        own.start()
        store.put("big", b"y" * 4_000_000)
        assert store.get("big").data == b"y" * 4_000_000


def test_a_lost_reply_leaves_a_value_that_is_whole(
    store: MemcachedStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest may have been written: its chunks must stay."""
    real = Client.add

    def lost(*arguments: Any, **options: Any) -> bool:
        real(*arguments, **options)
        raise ConnectionResetError(104, "Connection reset by peer")

    with monkeypatch.context() as patch:
        patch.setattr(Client, "add", lost)
        with pytest.raises(StoreUnavailable, match="connection reset"):
            store.put("a", BIG)
    assert MemcachedStore.from_url(url).get("a").data == BIG


def test_an_interrupt_in_the_middle_of_a_reply_closes_the_connection(
    store: MemcachedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next command would be answered with the rest of the last one's reply."""
    store.put("a", b"value of a")
    store.put("b", b"value of b")
    real = Client.get

    def interrupted(client: Client, name: str) -> bytes:
        assert client.sock is not None
        client.sock.sendall(f"get {name}\r\n".encode())
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.get("a")
    monkeypatch.setattr(Client, "get", real)
    assert store.get("b").data == b"value of b"


def test_connections_are_used_again_and_not_shared(fresh: Memcached) -> None:
    with open_store(f"memcached://{fresh.address}/x") as store:
        raw = raw_client(fresh)
        store.put("a", b"one")
        before = int(raw.stats()[b"total_connections"])
        for _ in range(20):
            store.get("a")
            store.put("a", b"two")
        assert int(raw.stats()[b"total_connections"]) == before
        raw.close()


# URLs


def test_the_order_of_servers_does_not_matter(three_memcached: list[Memcached]) -> None:
    addresses, prefix = [server.address for server in three_memcached], fresh_prefix()
    one = MemcachedStore.from_url(f"memcached://{','.join(addresses)}/{prefix}")
    two = MemcachedStore.from_url(f"memcached://{','.join(reversed(addresses))}/{prefix}/")
    assert one.url == two.url
    for number in range(10):
        one.put(f"k{number}", b"x" * number)
        assert len(two.get(f"k{number}").data) == number


def test_prefixes_keep_runs_apart(memcached: Memcached) -> None:
    one, two = (open_store(f"memcached://{memcached.address}/{fresh_prefix()}") for _ in range(2))
    one.put("a", b"one")
    assert two.get_many(["a"]) == [None]


def test_options_survive_the_url() -> None:
    url = "memcached://[::1]:11211,b.example:1/p/q?chunk_bytes=4096&timeout_s=1.5"
    assert MemcachedStore.from_url(url).url == url
    assert MemcachedStore.from_url("memcached://host").url == "memcached://host:11211/"


@pytest.mark.parametrize(
    "url",
    [
        "memcached://",
        "memcached:///prefix",
        "memcached://host:port/p",
        "memcached://user:secret@host:11211/p",
        "memcached://a:1,,b:2/p",
        "memcached://host:1/Prefix",
        "memcached://host:1/a//b",
        "memcached://host:1/" + "p" * 50,
        "memcached://host:1/p?chunk=5",
        "memcached://host:1/p?chunk_bytes=many",
        "memcached://host:1/p?chunk_bytes=2000000",
        "memcached://host:1/p?timeout_s=0",
        "memcached://host:1/p#fragment",
    ],
)
def test_malformed_urls(url: str) -> None:
    with pytest.raises(UsageError, match=r"memcached|prefix|chunk_bytes"):
        open_store(url)
