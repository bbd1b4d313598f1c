"""Failures that every attempt would only meet again, known by what a platform passes on of them: a kind, and words."""

from __future__ import annotations

import re

KINDS = frozenset(
    {
        "Runtime.ImportModuleError", "Runtime.UserCodeSyntaxError", "Runtime.HandlerNotFound",
        "Runtime.MalformedHandlerName", "Runtime.BuiltInModuleConflict", "Runtime.InvalidEntrypoint",
        "ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError",
        "AttributeError", "NameError",
        "StoreError",  # refused; a store that may answer the next time is StoreUnavailable
    }
)  # fmt: skip
_WORDS = re.compile(r"exec format error|\bAccessDenied|not authorized to perform", re.IGNORECASE)
# a library that found no room is reported as one that cannot be imported
_NO_ROOM = re.compile(r"cannot allocate memory|failed to map segment|too many open files|no space left", re.IGNORECASE)


def recurs(kind: str, message: str) -> bool:
    """Whether the next attempt cannot but fail alike. kind: the error's type, as Python or AWS Lambda names it.

    What may pass by itself does not: throttling, a timeout, a crash, no memory, no answer; nor what is not known.
    """
    return (kind in KINDS or _WORDS.search(message) is not None) and _NO_ROOM.search(message) is None
