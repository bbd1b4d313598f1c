"""Which failures end a run at once, and which are tried again."""

import pytest

from nnlite.errors import NnliteError, StoreUnavailable
from nnlite.invoker.recurring import KINDS, recurs


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Runtime.ImportModuleError", "Unable to import module 'lambda_pkg.handler': No module named 'numpy'"),
        ("Runtime.UserCodeSyntaxError", "Syntax error in module 'lambda_pkg.handler'"),
        ("Runtime.HandlerNotFound", "Handler 'handle' missing on module 'lambda_pkg.handler'"),
        ("Runtime.InvalidEntrypoint", "RequestId: 1 Error: fork/exec /opt/bootstrap: exec format error"),
        ("Runtime.ExitError", "exec /usr/bin/python3: exec format error"),
        ("ClientError", "An error occurred (AccessDeniedException) when calling the Invoke operation"),
        ("StoreError", "cannot get 'runs/r/head.json' in s3://b: the server says 403 AccessDenied"),
        ("ModuleNotFoundError", "No module named 'pymemcache'"),
    ],
)
def test_what_can_only_recur(kind, message):
    assert recurs(kind, message)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed"),
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 20.00 seconds"),
        ("Runtime.OutOfMemory", "RequestId: 1 Error: Runtime exited with error: signal: killed"),
        ("TooManyRequestsException", "Rate Exceeded."),
        ("StoreUnavailable", "no answer (gave up after 8 attempts)"),
        ("MemoryError", ""),
        ("ImportError", "libscipy_openblas64_.so: failed to map segment from shared object"),
        ("Runtime.ImportModuleError", "Unable to import module 'lambda_pkg.handler': Cannot allocate memory"),
        ("", "no answer"),
        ("Runtime.New", "something that was not known when this was written"),
    ],
)
def test_what_may_pass_or_is_not_known_is_tried_again(kind, message):
    assert not recurs(kind, message)


def test_a_store_that_may_answer_the_next_time_is_never_among_them():
    kinds = [StoreUnavailable]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 1
    assert issubclass(StoreUnavailable, NnliteError)
    assert not KINDS & {kind.__name__ for kind in kinds}
