"""Repair: what the schedule has the function do once a minute, while there are detached runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambda_pkg.events import Visit
from lambda_pkg.logs import tell
from nnlite.invoker.aws import schedule
from nnlite.invoker.aws.function import Function
from nnlite.runs import detached
from nnlite.runtime.invocation import Payload
from nnlite.store import open_store


def repair(visit: Visit, function: Function, remaining_s: Callable[[], float]) -> dict[str, Any]:
    """Look after the detached runs; with none left, let the schedule rest."""

    def start(payload: Payload) -> None:
        function.invoke(payload.to_json())

    patience_s = max(0.0, remaining_s() - 10.0)
    with open_store(visit.store) as home:
        left = detached.visit(home, start, patience_s, lambda e, v: tell(e, {"run": "", **v}))
        if not left:
            schedule.disable(function.account, visit.rule)
            if detached.runs(home):  # somebody has detached one meanwhile
                schedule.enable(function.account, visit.rule)
    return {"detached": left}
