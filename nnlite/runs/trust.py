"""Trust: which of the stores that a specification names may be opened.

A specification that a command reads from a store may be somebody else's, and name a server that would be sent requests
signed with this user's credentials, or a folder of this machine. What workers read is what their command wrote: its
SHA-256 is in what starts them.
"""

from __future__ import annotations

from nnlite.errors import UsageError, words
from nnlite.protocol.records.spec import RunSpec
from nnlite.store.naming import absolute
from nnlite.store.servers import AWS, servers_of


def check_spec(spec: RunSpec, beside: str, *named: str | None) -> None:
    """Raise UsageError unless each store that `spec` names is one of `named`, or lies on a server of the store `beside`
    it, or on AWS as boto3 is configured here."""
    known = {AWS}.union(*(servers_of(url) for url in (beside, *named) if url is not None))
    for what, name, url in (
        ("checkpoints", "checkpoint_store", spec.checkpoint_store),
        ("shards", "data_store", spec.data.store),
    ):
        if url is not None and not servers_of(url) <= known:
            raise UsageError(
                f"run {spec.run} has its {what} in {words(url)!r}, on another server than {beside}: "
                f"if you trust that, say so by {name}={words(url)!r}"
            )


def check_data(spec: RunSpec, data_url: str | None) -> None:
    """Raise UsageError if `data_url` is named, and is not where the run has its shards."""
    if absolute(data_url) not in (None, spec.data.store):
        place = words(spec.data.store) if spec.data.store else "its own store"
        raise UsageError(f"run {spec.run} has its shards in {place}, not in {data_url}: name that, or none")


def check_url(url: str, beside: str) -> None:
    """The same for the store of a run that a list in the store `beside` names."""
    if not servers_of(url) <= servers_of(beside) | {AWS}:
        raise UsageError(f"{words(url)!r} is on another server than {beside}, where it is listed: it is not opened")
