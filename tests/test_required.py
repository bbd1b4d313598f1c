"""Packages that are older than nnlite needs: one line that names the version, wherever the package is first used."""

import boto3
import numpy
import pymemcache
import pytest

from nnlite import required
from nnlite.commands import door
from nnlite.errors import RunError
from nnlite.invoker.aws.account import CloudAccount
from nnlite.store.s3 import client
from tests.floors import floors

OLD = {boto3: "1.35.99", pymemcache: "3.5.2", numpy: "1.25.2"}


@pytest.fixture
def older(monkeypatch):
    """older(package): its version is one that is too old; and no session of boto3 is there yet."""

    def make(package, version):
        monkeypatch.setattr(package, "__version__", version)

    client.forget_session()
    yield make
    client.forget_session()


def test_the_oldest_are_those_of_setup_cfg():
    wanted = {name: tuple(map(int, version.split(".")))[:2] for name, version in floors().items()}
    del wanted["botocore"]  # boto3's own
    assert wanted == required.OLDEST


@pytest.mark.parametrize(
    ("package", "argv"),
    [
        (boto3, ("status", "--store", "s3://bucket/prefix?endpoint=http://127.0.0.1:1")),
        (boto3, ("status", "--platform", "lambda", "--region", "eu-west-1")),
        (boto3, ("deploy", "--delete", "--region", "eu-west-1")),
        (pymemcache, ("status", "r", "--store", "memcached://127.0.0.1:1/p")),
        (numpy, ("status",)),
    ],
)
def test_a_command_says_in_one_line_which_version_it_found(older, capsys, package, argv):
    older(package, OLD[package])
    assert door.enter(argv[0], argv[1:]) == 1
    out, err = capsys.readouterr()
    name, oldest = package.__name__, ".".join(map(str, required.OLDEST[package.__name__]))
    assert (out, err) == (
        "",
        f"error: {name} {OLD[package]} is too old: nnlite needs {name} >= {oldest}, found in {package.__file__}: "
        f"pip install --upgrade '{name}>={oldest}'\n",
    )


@pytest.mark.parametrize("version", ["1.36.0", "1.100.2", "2.0rc1", "2.0.0.dev0+local", "unknown", ""])
def test_what_is_new_enough_or_says_nothing_is_taken(older, version):
    older(boto3, version)
    required.check(boto3)
    assert CloudAccount(region="eu-west-1").session.region_name == "eu-west-1"


def test_a_number_is_compared_as_one(older):
    older(boto3, "1.9.253")
    with pytest.raises(RunError, match=r"boto3 1\.9\.253 is too old"):
        required.check(boto3)
