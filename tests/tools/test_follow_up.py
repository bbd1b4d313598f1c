"""Lines that say what comes next: complete, so that they do the same from any folder."""

import shlex
from pathlib import Path

import pytest

from nnlite.commands import door, parser_of
from nnlite.commands.follow_up import completed, follow_up

ON_LAMBDA = ["--platform", "lambda", "--stack-name", "mine", "--region", "eu-west-1", "--profile", "an other"]
ON_OPENFAAS = ["--platform", "openfaas", "--gateway", "https://g:8080", "--function", "worker-{worker}", "--invocation",
               "async", "--worker-store", "memcached://in:1/x", "--secret-file", "se cret"]  # fmt: skip
FAR = ["--store", "s3://own/a b?region=eu-west-1", "--checkpoint-store", "s3://copies/x"]
MONEY = ["--memory-mb", "1769", "--prices", "prices.json", "--out", "w $HOME.st"]
TRAINED = {
    "local": [
        "--store",
        "it's here",
        "--checkpoint-store",
        "copies",
        "--processes",
        "3",
        "--region",
        "eu-west-1",
        *MONEY,
    ],
    "lambda": [*ON_LAMBDA, *FAR, *MONEY],
    "openfaas": [*ON_OPENFAAS, *FAR, "--arch", "arm64", *MONEY],
}
FOLLOWING = {
    "status": ["r", "--follow"],
    "stop": ["r"],
    "report": ["r"],
    "train": ["--resume", "r"],
}
AWS = {"stack_name", "region", "profile"}


@pytest.mark.parametrize("platform", TRAINED)
@pytest.mark.parametrize("name", FOLLOWING)
def test_all_that_says_where_things_are_goes_along(platform, name, tmp_path, monkeypatch):
    """Parsed by the next command, in another folder, each option has the value that it had, files as absolute paths."""
    given = parser_of("train").parse_args(["--case", "c", *TRAINED[platform]])
    line = follow_up(name, given, *FOLLOWING[name])
    start = f"python -m tools.{name} "
    assert line.startswith(start)
    (tmp_path / "elsewhere").mkdir()
    folder = Path.cwd()
    monkeypatch.chdir(tmp_path / "elsewhere")
    parsed = vars(parser_of(name).parse_args(shlex.split(line[len(start) :])))
    options = [word[2:].replace("-", "_") for word in TRAINED[platform] if word.startswith("--")]
    if platform != "lambda" and name != "train":  # where it is about prices alone, it would be refused
        options = [option for option in options if option not in AWS]
    if name == "report":
        options.remove("out")  # another file
    for option in [option for option in options if option in parsed]:
        value = getattr(given, option)
        is_file = option in ("out", "prices", "secret_file") or (option.endswith("store") and "://" not in value)
        assert parsed[option] == (str(folder / value) if is_file else value), option


def test_what_would_be_assumed_anyway_is_left_out():
    given = parser_of("train").parse_args(["--case", "c", "--platform", "lambda"])
    given.store, given.store_is_assumed = "s3://of-the-stack/nnlite", True
    assert follow_up("status", given, "r") == "python -m tools.status r --platform lambda"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("is cut off: python -m tools.stop --release", "is cut off: python -m tools.stop {} --release"),
        ("python -m tools.deploy makes it", "python -m tools.deploy {} makes it"),
        ("run python -m tools.deploy --delete --stack-name mine, then", "run python -m tools.deploy --region eu-west-1 "
         "--profile 'an other' --delete --stack-name mine, then"),
        ("python -m tools.data list shows them", "python -m tools.data list shows them"),
        ("name a file that tools.optimize wrote", "name a file that tools.optimize wrote"),
    ],
)  # fmt: skip
def test_commands_in_errors_are_completed(text, whole):
    """Those of the library, which does not know the command line, as well."""
    given = parser_of("train").parse_args(["--case", "c", *ON_LAMBDA, *FAR])
    assert completed(text, given) == whole.format("--stack-name mine --region eu-west-1 --profile 'an other'")


def test_errors_go_through_it(train, case_file, capfd):
    argv = ("--case", case_file(), "--rounds", 1, "--processes", 0, "--run", "mine", "--store", "a b")
    assert train(*argv).code == 0
    assert door.enter("tune", ["--resume", "mine", "--store", "a b"]) == 1
    where = shlex.quote(str(Path("a b").absolute()))
    assert f"python -m tools.train --store {where} --resume mine" in capfd.readouterr().err
