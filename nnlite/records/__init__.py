"""Records: frozen dataclasses that lie in a store, in a file or on the wire as JSON, and are strictly read back.

::

    @dataclass(frozen=True)
    class Job(Record, what="a job"):
        worker: Count
        deaths: Count

    Job.from_json(b'{"deaths": -1, "worker": 3}', "jobs/3.json")
    StoreError: jobs/3.json is not a job (damaged, or not ours): deaths: expected a whole
    number, 0 or more, found -1

Whatever is read may have been written by anybody. So every field has to be there and no other, each of its type and
within its range; no name comes twice, no number is infinite or endless, nothing is nested or long without bound.
"""

from nnlite.records.fields import Amount, Count, OneOf, Range, Sha256, Share, fit, younger
from nnlite.records.record import Kept, Record, load, load_kept, message
from nnlite.records.text import MOST_BYTES, Data, Unsound, parse, quoted

__all__ = [
    "MOST_BYTES",
    "Amount",
    "Count",
    "Data",
    "Kept",
    "OneOf",
    "Range",
    "Record",
    "Sha256",
    "Share",
    "Unsound",
    "fit",
    "load",
    "load_kept",
    "message",
    "parse",
    "quoted",
    "younger",
]
