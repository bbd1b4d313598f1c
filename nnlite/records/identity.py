"""Identity: every object says under which key it was written; a reader compares that with the key it asked for.

A key names all that an object is: its run, and of that the round, level and node, or worker and seq, or the version. So
a store, a cache or a copied folder that answers with an object of another run, round or worker is found out at the
first read, before a wrong model comes of it.
"""

from __future__ import annotations

from nnlite.errors import StoreError

KEY = "key"  #: the name of the entry, in the metadata of a weights file and in JSON


def check(found: object, key: str) -> None:
    """Raise StoreError unless what was `found` under `key` says that this is where it belongs."""
    if found == key:
        return
    says = f"says that it is {found!r:.240}" if found is not None else "does not say what it is"
    raise StoreError(
        f"{key}: what the store answers {says}, expected the object that a run of this nnlite has written there; "
        "is it a copy, or does a cache mix objects up? Begin the run anew, in a store of its own"
    )
