"""Shards in a store: sent by the command that begins a run, read by its workers, sent again when they are lost or
damaged."""

from __future__ import annotations

from contextlib import suppress

from nnlite.data import Dataset, Split, shards
from nnlite.errors import Conflict, DataError, DataNotFound, NotFound, StoreError
from nnlite.protocol.records.spec import RunSpec
from nnlite.store import ABSENT, Store


def upload(store: Store, spec: RunSpec, dataset: Dataset) -> None:
    """Cut both splits into shards, named by content, and have them stand in the store.

    A mark behind the last shard saves the next run with as many workers from sending them all: it only looks whether
    they are still there. A store that forgets gets none.
    """
    splits = {"train": dataset.train, "test": dataset.test}
    for part, keys in _keys(spec).items():
        mark, marks = _mark(keys[0]), not _forgets(store)
        is_marked = marks and not store.missing([mark])
        wanted = set(store.missing(keys) if is_marked else keys)
        if not wanted:
            continue
        for key, rows in zip(keys, shards.assign(len(splits[part]), len(keys)), strict=True):
            if key in wanted:
                send(store, key, splits[part].take(rows))
        if marks and not is_marked:
            with suppress(Conflict):
                store.put(mark, b"", if_version=ABSENT)


def send(store: Store, key: str, split: Split) -> None:
    """Have a shard stand under its key, also where another, or a damaged one, stands."""
    data = shards.encode(split, key)
    with suppress(Conflict):
        store.put(key, data, if_version=ABSENT)
        return
    with suppress(Conflict, NotFound):  # another command was faster, and sent the same
        found = store.get(key)
        if found.data != data:
            store.put(key, data, if_version=found.version)


def read(store: Store, key: str) -> Split:
    """A shard. One that is not sound is asked for once more, from the store itself if a copy was nearer.

    Raises DataNotFound when it is gone, DataError when it is damaged or another one. The next run with the same data
    and as many workers then sends it again.
    """
    try:
        try:
            return shards.decode(store.get(key).data, key)
        except DataError:
            store.forget(key)
            return shards.decode(store.get(key).data, key)
    except NotFound:
        advice = _MORE_MEMORY if _forgets(store) else _ADVICE
        raise DataNotFound(f"shard {key} is gone from {store.url}: {advice}") from None
    except DataError as error:
        with suppress(StoreError):  # without its mark all of them are compared
            store.delete(_mark(key))
        raise DataError(f"{error}, in {store.url}: {_ADVICE}") from None


def keys(spec: RunSpec) -> list[str]:
    """All that `upload` puts there, marks first."""
    return [key for some in _keys(spec).values() for key in (_mark(some[0]), *some)]


def _forgets(store: Store) -> bool:
    """Whether it loses values for want of memory."""
    return store.url.startswith("memcached://")


_ADVICE = "a new run or search of the same kind sends it again; then resume= this one"
_MORE_MEMORY = f"a memcached that forgets wants more memory (-m), or the shards another data_store=; {_ADVICE}"


def _keys(spec: RunSpec) -> dict[str, list[str]]:
    """Part -> the keys of its shards."""
    data, counts = spec.data, {"train": spec.num_workers, "test": spec.num_test_slices}
    return {
        part: [shards.key(data.name, data.digest, part, count, shard) for shard in range(count)]
        for part, count in counts.items()
    }


def _mark(key: str) -> str:
    """Says that this shard, and all others of its part, have been sent."""
    return f"{key.rpartition('/')[0]}/complete"
