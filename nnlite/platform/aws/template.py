"""The template of the stack, whole; and of the bucket alone, which must be there before the function's code is."""

from __future__ import annotations

import re

from nnlite.invoker.sources import folder

FIRST = ("Bucket", "BucketPolicy")


def whole() -> str:
    """All of it, as YAML."""
    return (folder("lambda_pkg") / "template.yaml").read_text()


def bucket_alone() -> str:
    """The same without any other resource, and without outputs."""
    text = whole()
    before, after = text.split("\nResources:\n")
    resources = re.split(r"(?m)^(?=  \w+:\n)", after.split("\nOutputs:\n")[0])
    kept = [block for block in resources if block.strip().split(":")[0] in FIRST]
    return f"{before}\nResources:\n{''.join(kept)}"
