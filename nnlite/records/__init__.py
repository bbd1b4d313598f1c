"""Records: frozen dataclasses that lie in a store, in a file or on the wire as JSON, and are strictly read back.

::

    @dataclass(frozen=True)
    class Claim(Record, what="a claim"):
        worker: Count
        deaths: Count

    Claim.from_json(b'{"deaths": -1, "worker": 3}', "searches/s1/trials/00000/0/claim.json")
    StoreError: searches/s1/trials/00000/0/claim.json is not a claim (damaged, or not ours): deaths: expected a whole
    number, 0 or more, found -1

Whatever is read may have been written by anybody. So every field has to be there and no other, each of its type and
within its range; no name comes twice, no number is infinite or endless, nothing is nested or long without bound.
"""

from nnlite.records.fields import Amount, Count, OneOf, Range, Share, fit
from nnlite.records.record import Record, load, load_object
from nnlite.records.text import MOST_BYTES, Data, Unsound, parse, quoted

__all__ = [
    "MOST_BYTES",
    "Amount",
    "Count",
    "Data",
    "OneOf",
    "Range",
    "Record",
    "Share",
    "Unsound",
    "fit",
    "load",
    "load_object",
    "parse",
    "quoted",
]
