"""One AWS account for the tests of this folder, with the stack in it, built for the Python that runs them."""

from pathlib import Path

import pytest

from tests.platform.aws.account import AwsAccount, aws_account
from tests.platform.aws.cli import call
from tests.platform.aws.within import build
from tests.servers import credentials, s3

__all__ = ["credentials", "s3"]


@pytest.fixture(scope="session")
def local_bundle(tmp_path_factory) -> Path:
    """The zip for this very Python, with this very NumPy: so weights can be compared to the last bit."""
    path = tmp_path_factory.mktemp("bundle") / "local.zip"
    path.write_bytes(build())
    return path


@pytest.fixture(scope="session")
def account(s3, tmp_path_factory):
    """An account, empty at first."""
    with aws_account(s3, tmp_path_factory.mktemp("aws")) as account:
        yield account


@pytest.fixture(autouse=True)
def _logged_in(request):
    """A test with the account is logged in to it; its faults and refusals end with the test."""
    if "account" not in request.fixturenames:
        yield
        return
    account: AwsAccount = request.getfixturevalue("account")
    with account.logged_in():
        yield
    account.calm()


@pytest.fixture(scope="session")
def stack(account, local_bundle) -> AwsAccount:
    """The account with the stack deployed, as a user would do it."""
    with account.logged_in():
        done = call("deploy", "--bundle", local_bundle, "--timeout-s", 20)
    assert done.code == 0, done.err
    return account
