"""The store contract: one suite that every store passes, wrappers included.

A store's test module subclasses `StoreContract` and gives the fixture `open_again`, which returns a function
that opens one more handle on the same, at first empty, store. A store that other processes reach by its URL
subclasses `SharedStoreContract`.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nnlite.errors import Conflict, NotFound, UsageError
from nnlite.store import ABSENT, Store, Version, open_store

OpenAgain = Callable[[], Store]
REPOSITORY = Path(__file__).resolve().parents[2]
NUM_WRITERS = 5
NUM_SWAPS = 10

GOOD_KEYS = [
    "a",
    "0",
    "-",
    "_",
    "a.b",
    "a..b",
    "a.",
    "runs/r-1_x/ckpt/00000012",
    "x/" * 99 + "yz",  # 200 characters
    "k" * 200,
]
BAD_KEYS: list[Any] = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a/..",
    ".hidden",
    "a/.tmp/b",
    ".locks/00",
    "A",
    "a b",
    "a\n",
    "\na",
    "a\0b",
    "a\\b",
    "ä",
    "a:b",
    "a*",
    "k" * 201,
    None,
    b"a",
    1,
]


def swap_counter(store: Store, key: str, num_swaps: int) -> None:
    """Add 1 to the number in `key`, `num_swaps` times, whoever else does the same."""
    for _ in range(num_swaps):
        while True:
            old = store.get(key)
            try:
                store.put(key, str(int(old.data) + 1).encode(), if_version=old.version)
                break
            except Conflict:
                continue


def in_threads(work: Callable[[int], Any], num_threads: int) -> list[Any]:
    """The results of work(0), work(1), ..., all begun at the same moment."""
    barrier = threading.Barrier(num_threads)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(begin, range(num_threads)))


def in_processes(code: str, arguments: list[str], num_processes: int) -> list[str]:
    """What `num_processes` Python processes print that run `code` (with `store` open) at the same time.

    sys.argv: [-c, URL, number of the process, *arguments]. They begin when all of them are ready.
    """
    begin = "import sys; from nnlite.store import *; from nnlite.errors import *\n"
    begin += "store = open_store(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", begin + code, arguments[0], str(number), *arguments[1:]],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(num_processes)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * num_processes
    return printed


class StoreContract:
    """What holds for one handle, for two handles, and for many threads."""

    @pytest.fixture
    def open_again(self) -> OpenAgain:
        raise NotImplementedError("give the fixture open_again")

    @pytest.fixture
    def store(self, open_again: OpenAgain) -> Iterator[Store]:
        with open_again() as store:
            yield store

    # One verb after the other

    def test_get_gives_what_was_put(self, store: Store) -> None:
        store.put("a/b", b"one")
        assert store.get("a/b").data == b"one"
        store.put("a/b", b"two")
        assert store.get("a/b").data == b"two"

    def test_another_handle_sees_it(self, store: Store, open_again: OpenAgain) -> None:
        store.put("a", b"one")
        other = open_again()
        assert other.get("a") == store.get("a")
        other.delete("a")
        with pytest.raises(NotFound):
            store.get("a")

    def test_what_is_not_there_is_not_found_and_says_where(self, store: Store) -> None:
        with pytest.raises(NotFound, match=r"'runs/r1/head\.json'") as caught:
            store.get("runs/r1/head.json")
        assert store.url in str(caught.value)

    def test_keys_do_not_meet(self, store: Store) -> None:
        keys = ["run/1", "run/10", "run/1.json", "run_1", "run-1", "other/run/1"]
        for key in keys:
            store.put(key, key.encode())
        store.delete("run/1")
        assert [value and value.data.decode() for value in store.get_many(keys)] == [None, *keys[1:]]

    @pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1_048_575, 1_048_577, 16_777_216])
    def test_values_of_any_size_and_any_bytes(self, store: Store, size: int) -> None:
        value = (bytes(range(256)) * (size // 256 + 1))[:size]
        store.put("a", value)
        assert store.get("a").data == value
        store.put("a", b"short")
        assert store.get("a").data == b"short"

    @pytest.mark.parametrize(
        "data",
        [
            b"header+data",
            bytearray(b"header+data"),
            memoryview(b"header+data"),
            memoryview(b"hXeXaXdXeXrX+XdXaXtXaX")[::2],
            (b"header", memoryview(b"+data")),
            [b"", b"header", b"", bytearray(b"+data"), b""],
        ],
    )
    def test_parts_are_joined(self, store: Store, data: Any) -> None:
        store.put("a", data)
        found = store.get("a").data
        assert type(found) is bytes
        assert found == b"header+data"

    @pytest.mark.parametrize("data", [(), [], [b""], memoryview(b"")])
    def test_no_parts_are_an_empty_value(self, store: Store, data: Any) -> None:
        store.put("a", data)
        assert store.get("a").data == b""

    @pytest.mark.parametrize("data", ["text", "", None, 5, ["text"], [1], {"a": b""}])
    def test_what_is_not_bytes_is_refused(self, store: Store, data: Any) -> None:
        with pytest.raises(UsageError, match="expected bytes"):
            store.put("a", data)
        with pytest.raises(NotFound):
            store.get("a")

    def test_the_value_is_a_copy(self, store: Store) -> None:
        data = bytearray(b"one")
        store.put("a", data)
        first = store.get("a")
        data[:] = b"XXX"
        assert store.get("a").data == b"one"
        store.put("a", b"two")
        assert first.data == b"one"

    def test_delete(self, store: Store) -> None:
        store.delete("a/b")
        store.put("a/b", b"one")
        store.delete("a/b")
        store.delete("a/b")
        with pytest.raises(NotFound):
            store.get("a/b")

    @pytest.mark.parametrize("count", [0, 1, 3, 40])
    def test_delete_many(self, store: Store, count: int) -> None:
        keys = [f"many/{n}" for n in range(count)]
        for key in keys[::2]:
            store.put(key, b"there")
        store.put("other", b"not asked for")
        store.delete_many(iter(keys))
        assert store.get_many(keys) == [None] * count
        assert store.get("other").data == b"not asked for"

    def test_get_many_keeps_the_order_and_gives_none_for_what_is_missing(self, store: Store) -> None:
        for key in "abc":
            store.put(key, key.encode())
        found = store.get_many(["c", "x/y", "a", "c"])
        assert [value and value.data for value in found] == [b"c", None, b"a", b"c"]
        assert found[0] == store.get("c")
        assert store.get_many([]) == []
        assert store.get_many(key for key in "b") == [store.get("b")]

    def test_missing_names_what_is_not_there(self, store: Store) -> None:
        assert store.missing(key for key in ("b", "x/y")) == ["b", "x/y"]
        for key in ("b", "c/d", "empty"):
            store.put(key, b"" if key == "empty" else b"there")
        store.delete("c/d")
        assert store.missing(["x/y", "b", "c/d", "empty", "a"]) == ["x/y", "c/d", "a"]
        assert store.missing([]) == []
        with pytest.raises(UsageError):
            store.missing(["b", "../b"])

    def test_after_forgetting_a_value_is_read_again(self, store: Store) -> None:
        store.put("datasets/a", b"there")
        before = store.get("datasets/a")
        store.forget("datasets/a")
        store.forget("datasets/none")
        assert store.get("datasets/a") == before

    # Keys

    @pytest.mark.parametrize("key", GOOD_KEYS)
    def test_good_keys(self, store: Store, key: str) -> None:
        store.put(key, b"one", if_version=ABSENT)
        assert store.get(key).data == b"one"
        store.delete(key)

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused_by_every_verb(self, store: Store, key: Any) -> None:
        def refused(verb: Callable[[], object]) -> None:
            with pytest.raises(UsageError, match="is not a key: expected 1 to 200") as caught:
                verb()
            assert repr(key)[:100] in str(caught.value)

        refused(lambda: store.get(key))
        refused(lambda: store.put(key, b""))
        refused(lambda: store.put(key, b"", if_version=ABSENT))
        refused(lambda: store.delete(key))
        refused(lambda: store.get_many([key]))

    # Conditions

    def test_create_once(self, store: Store) -> None:
        store.put("a", b"one", if_version=ABSENT)
        with pytest.raises(Conflict, match=r"'a'.*expected no value, found"):
            store.put("a", b"two", if_version=ABSENT)
        assert store.get("a").data == b"one"
        store.delete("a")
        store.put("a", b"three", if_version=ABSENT)
        assert store.get("a").data == b"three"

    def test_swap(self, store: Store) -> None:
        store.put("a", b"one")
        first = store.get("a").version
        store.put("a", b"two", if_version=first)
        second = store.get("a")
        assert second.data == b"two"
        with pytest.raises(Conflict, match=r"'a'.*expected version"):
            store.put("a", b"three", if_version=first)
        assert store.get("a") == second

    def test_a_blind_write_breaks_a_swap(self, store: Store) -> None:
        store.put("a", b"one")
        version = store.get("a").version
        store.put("a", b"two")
        with pytest.raises(Conflict):
            store.put("a", b"three", if_version=version)

    def test_a_swap_of_what_is_gone_or_never_was_conflicts(self, store: Store) -> None:
        store.put("a", b"one")
        version = store.get("a").version
        store.delete("a")
        for key, old in [("a", version), ("b", version), ("b", Version("never seen")), ("b", Version(""))]:
            with pytest.raises(Conflict, match="found no value"):
                store.put(key, b"two", if_version=old)
            assert store.get_many([key]) == [None]

    def test_reading_does_not_change_the_version(self, store: Store, open_again: OpenAgain) -> None:
        store.put("a", b"one")
        assert store.get("a").version == store.get("a").version == open_again().get("a").version

    def test_equal_bytes_get_another_version(self, store: Store) -> None:
        versions = set()
        for _ in range(200):
            store.put("a", b"the same")
            versions.add(store.get("a").version)
        assert len(versions) == 200

    def test_a_version_does_not_come_back_after_a_delete(self, store: Store) -> None:
        versions = set()
        for _ in range(100):
            store.put("a", b"the same", if_version=ABSENT)
            versions.add(version := store.get("a").version)
            store.delete("a")
        assert len(versions) == 100
        store.put("a", b"the same")
        with pytest.raises(Conflict):
            store.put("a", b"late", if_version=version)

    # Races

    def test_one_of_many_creators_wins(self, store: Store, open_again: OpenAgain) -> None:
        for number in range(20):
            key = f"race/{number}"

            def create(worker: int, key: str = key) -> bool:
                try:
                    open_again().put(key, b"%d" % worker, if_version=ABSENT)
                except Conflict:
                    return False
                return True

            won = in_threads(create, NUM_WRITERS)
            assert won.count(True) == 1
            assert int(store.get(key).data) == won.index(True)

    def test_no_swap_is_lost(self, store: Store, open_again: OpenAgain) -> None:
        """5 writers x 10 swaps = 50, each writer with a handle of its own."""
        store.put("counter", b"0")
        in_threads(lambda _: swap_counter(open_again(), "counter", NUM_SWAPS), NUM_WRITERS)
        assert int(store.get("counter").data) == NUM_WRITERS * NUM_SWAPS

    def test_no_swap_is_lost_on_one_handle(self, store: Store) -> None:
        store.put("counter", b"0")
        in_threads(lambda _: swap_counter(store, "counter", NUM_SWAPS), NUM_WRITERS)
        assert int(store.get("counter").data) == NUM_WRITERS * NUM_SWAPS

    def test_a_reader_never_sees_a_torn_value(self, store: Store, open_again: OpenAgain) -> None:
        """Neither a mixture of two values, nor one value with the version of another, nor none at all."""
        store.put("a", b"0" * 300_000)
        done = threading.Event()

        def write() -> None:
            number = 0
            while not done.is_set():
                number += 1
                store.put("a", b"%d" % (number % 10) * (300_000 + number))

        def read() -> dict[Version, bytes]:
            reader, seen = open_again(), {}
            try:
                while len(seen) < 30:
                    value = reader.get("a")
                    assert value.data == value.data[:1] * len(value.data)
                    assert seen.setdefault(value.version, value.data) == value.data
            finally:
                done.set()
            return seen

        writer = threading.Thread(target=write)
        writer.start()
        read()
        writer.join()

    # Handles

    def test_url_opens_it_again(self, store: Store) -> None:
        store.put("a", b"one")
        assert open_store(store.url).get("a").data == b"one"
        assert store.url in repr(store)

    def test_closing_twice_is_no_error(self, open_again: OpenAgain) -> None:
        with open_again() as store:
            store.put("a", b"one")
            store.close()
        store.close()
        assert open_again().get("a").data == b"one"


class SharedStoreContract(StoreContract):
    """What holds as well between processes."""

    def test_no_swap_of_another_process_is_lost(self, store: Store) -> None:
        store.put("counter", b"0")
        code = f"""
for _ in range({NUM_SWAPS}):
    while True:
        old = store.get("counter")
        try:
            store.put("counter", str(int(old.data) + 1).encode(), if_version=old.version)
            break
        except Conflict:
            continue
"""
        in_processes(code, [store.url], NUM_WRITERS)
        assert int(store.get("counter").data) == NUM_WRITERS * NUM_SWAPS

    def test_one_of_many_creating_processes_wins(self, store: Store) -> None:
        code = """
for number in range(100):
    try:
        store.put(f"race/{number}", sys.argv[2].encode(), if_version=ABSENT)
        print(number)
    except Conflict:
        pass
"""
        printed = in_processes(code, [store.url], NUM_WRITERS)
        won = [(int(number), worker) for worker, text in enumerate(printed) for number in text.split()]
        assert sorted(number for number, _ in won) == list(range(100))
        for number, worker in won:
            assert int(store.get(f"race/{number}").data) == worker
