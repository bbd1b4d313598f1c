"""Logs of a function: one JSON object a line, and metrics in CloudWatch's embedded format."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

NAMESPACE = "nnlite"
UNITS = {"seconds": "Seconds", "init_ms": "Milliseconds", "usd": "None", "failed": "Count"}


def tell(event: str, values: Mapping[str, Any]) -> None:
    """Write one event."""
    sys.stdout.write(json.dumps({"event": event, **values}, default=str) + "\n")  # in one: a write is a log's event
    sys.stdout.flush()


def tell_metrics(function: str, metrics: Mapping[str, float], values: Mapping[str, Any]) -> None:
    """Write an "invocation" event whose `metrics` (names of `UNITS`) CloudWatch collects by function.

    One set of dimensions only, as each set of each metric is paid for.
    """
    described = [{"Name": name, "Unit": UNITS[name]} for name in metrics]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": described}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    tell("invocation", {"_aws": about, "function": function, **metrics, **values})
