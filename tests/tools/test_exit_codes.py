"""Exit codes: 2 for a wrong request, 1 for one that failed, 0 for what is done; one rule for all commands."""

from pathlib import Path

import pytest

from nnlite import places
from nnlite.commands import COMMANDS, door, parser_of, platforms
from nnlite.commands.spelling import with_options
from nnlite.platform import PLATFORMS, find

C = ("train", "--case", "c", "--dataset", "fashion-sample")
WRONG = [
    # what is asked for contradicts itself, or can never be
    ("train",), ("tune",), ("optimize",), ("stop",), ("report",), ("data",), ("nothing",), (), ("train", "--nothing"),
    ("train", "--case", "nope"), ("train", "--case", "c", "--dataset", "nope"),
    ("train", "--case", "b", "--dataset", "bits"), ("train", "--case", "c", "--dataset", "bits"),
    ("train", "--case", "a", "--dataset", "fashion-sample"), ("train", "--case", "emnist", "--dataset", "bits"),
    ("tune", "--case", "b", "--dataset", "bits"), ("tune", "--case", "c", "--dataset", "bits"),
    ("optimize", "--case", "b", "--dataset", "bits"), ("optimize", "--case", "c", "--dataset", "bits"),
    ("simulate", "--case", "b", "--dataset", "bits"), ("simulate", "--case", "c", "--dataset", "bits"),
    (*C, "--workers", 0), (*C, "--workers", 7000), (*C, "--batch-size", 0), (*C, "--learning-rate", "nan"),
    (*C, "--seed", -1), (*C, "--tree", "1,3"), (*C, "--run", "A b"), (*C, "--quorum", 5), (*C, "--max-minutes", -1),
    (*C, "--target-accuracy", 7), (*C, "--memory-mb", 1), (*C, "--region", "mars-1"), (*C, "--wire", "float16"),
    (*C, "--protocol", "downpour", "--quorum", 1), (*C, "--rounds", 1, "--epochs", 1), (*C, "--processes", -1),
    ("train", "--resume", "../x"), ("status", "../x"), ("stop", "../x"), ("report", "../x"),
    ("tune", "--case", "c", "--trials", 0), ("tune", "--case", "c", "--eta", 1), ("simulate", "--workers", 0),
    ("simulate", "--faults", "x"), ("optimize", "--case", "c", "--memory-mb", "1:2"),
    ("optimize", "--case", "c", "--max-probes", 0), ("deploy", "--memory-mb", 1), ("deploy", "--python", "2.7"),
    ("deploy", "--stack-name", "a b"), ("deploy", "--platform", "azure"), ("data", "fetch", "nope"),
    ("data", "fetch", "bits"), ("data", "show", "fashion-sample", "--index", 6000),
    ("data", "show", "fashion-sample", "--index", -1),
    # a file, a folder or a store that an option names is not there, or not what it should be
    ("train", "--case", "missing.py"), ("train", "--case", "raises.py"), ("train", "--case", "text.json"),
    ("train", "--case", "missing.json"), (*C, "--init", "missing.st"), (*C, "--init", "text.st"),
    (*C, "--out", "no/such/folder"), (*C, "--out", "."), (*C, "--prices", "missing"), (*C, "--prices", "text.json"),
    (*C, "--store", "text.st"), (*C, "--store", "ftp://x"), (*C, "--store", "s3://"), (*C, "--store", "~nobody-here/x"),
    ("train", "--case", "c", "--dataset", "mnist", "--data", "missing"), ("status", "--store", "text.st"),
    ("stop", "x", "--store", "text.st"), ("report", "x", "--store", "text.st"),
    ("report", "--optimization", "missing"), ("report", "--optimization", "text.json"),
    ("simulate", "--profile", "missing"), ("simulate", "--profile", "text.json"),
    ("optimize", "--case", "c", "--dataset", "fashion-sample", "--plot", "x.txt"),
    ("deploy", "--platform", "openfaas", "--folder", "missing"),
    # what could only be ignored
    (*C, "--data", "."), ("train", "--case", "a", "--data", "."), (*C, "--calibrate", "--dry-run"),
    ("train", "--resume", "x", "--calibrate"), ("train", "--resume", "x", "--seed", 3), (*C, "--detach"),
    (*C, "--yes"), (*C, "--budget-usd", 1), (*C, "--gateway", "http://x"), (*C, "--stack-name", "x"),
    ("train", "--resume", "x", "--platform", "openfaas", "--store", "s3://a/b", "--rounds-per-invocation", 5),
    ("status", "--follow"), ("status", "--region", "eu-west-1"), ("status", "x", "--stack-name", "y"),
    ("status", "--platform", "openfaas"), ("stop", "x", "--all"), ("stop", "--force", "--store", "x"),
    ("report", "x", "--profile", "y"), ("report", "x", "--optimization", "text.json"),
    ("report", "--optimization", "text.json", "--store", "x"), ("report", "--optimization", "text.json", "--json"),
    ("report", "x", "--compare", "y", "--json"), ("report", "x", "--compare", "y", "--trace", "t.json"),
    ("data", "check", "bits", "--data", "."), ("data", "show", "fashion-sample", "--cache", "."), ("deploy", "--yes"),
    ("deploy", "--bundle-only", "--yes"), ("tune", "--case", "c", "--dataset", "fashion-sample", "--budget-usd", 1),
    ("tune", "--case", "c", "--platform", "openfaas", "--store", "s3://a/b", "--rounds-per-invocation", 1),
]  # fmt: skip
FAILED = [
    ("status", "nobody"), ("stop", "nobody"), ("report", "nobody"), ("train", "--resume", "nobody"),
    ("tune", "--resume", "nobody"), ("data", "check", "mnist", "--data", "missing"),
    ("status", "nobody", "--store", "memcached://127.0.0.1:1/x?attempts=1"),
    ("train", "--case", "c", "--dataset", "fashion-sample", "--store", "memcached://127.0.0.1:1/x?attempts=1"),
]  # fmt: skip
DONE = [
    ("status",), ("status", "--json"), ("status", "--store", "missing"), ("stop", "--all"), ("data", "list"),
    (*C, "--dry-run"), ("simulate", "--help"), ("deploy", "--help"), ("--help",), ("--version",),
]  # fmt: skip


@pytest.fixture
def files():
    """Files that options name."""
    Path("text.st").write_text("no weights")
    Path("text.json").write_text("{")
    Path("raises.py").write_text("raise ValueError('x')")


def called(argv, capfd) -> tuple[int, str]:
    """The exit code of `nnlite ...`, and what it said on stderr."""
    capfd.readouterr()
    try:
        code = door.main([str(word) for word in argv])
    except SystemExit as end:
        code = end.code
    return code, capfd.readouterr().err


@pytest.mark.parametrize("argv", WRONG, ids=lambda argv: " ".join(map(str, argv)) or "nothing at all")
def test_a_wrong_request_is_2_and_one_line(argv, files, capfd):
    code, said = called(argv, capfd)
    assert code == 2, said
    assert len([line for line in said.splitlines() if "error: " in line]) == 1
    assert "unexpected" not in said
    assert not Path(".nnlite").exists()


@pytest.mark.parametrize("words", [("status",), ("train",), *(("data", name) for name in ("list", "check", "fetch"))])
def test_a_wrong_option_gets_the_nearest_one_also_of_a_subcommand(words, capfd):
    code, said = called((*words, *(["x"] if words[-1] in ("check", "fetch") else []), "--jsno", "--dat"), capfd)
    assert (code, "unrecognized arguments: --jsno --dat; the nearest option is --json" in said) == (2, True), said


@pytest.mark.parametrize("argv", FAILED, ids=" ".join)
def test_a_failure_is_1_and_one_line(argv, files, capfd):
    code, said = called(argv, capfd)
    assert code == 1, said
    assert said.splitlines()[-1].startswith("error: ")
    assert "unexpected" not in said


@pytest.mark.parametrize("argv", DONE, ids=" ".join)
def test_what_is_done_is_0(argv, capfd):
    code, said = called(argv, capfd)
    assert code == 0, said


# ---- options of one platform

OWNED = [
    (command, platform, name)
    for command in ("train", "tune", "optimize")
    for platform in PLATFORMS
    for other in PLATFORMS
    for name in sorted(platforms.own(find(other)) - platforms.own(find(platform)))
    if hasattr(parser_of(command, []).parse_args([]), name) and not (command == "optimize" and name == "processes")
]
VALUES = {
    "budget_usd": 7,
    "processes": 1,
    "rounds_per_invocation": 1,
    "invocation": "async",
    "yes": None,
    "detach": None,
}


@pytest.mark.parametrize(("command", "platform", "name"), OWNED)
def test_an_option_of_one_platform_is_refused_on_another(command, platform, name, files, capfd):
    flag, value = "--" + name.replace("_", "-"), VALUES.get(name, "x")
    where = ["--store", "memcached://127.0.0.1:1/x"] if platform == "openfaas" else []
    argv = ["--case", "c", "--dataset", "fashion-sample", "--platform", platform, *where, flag]
    code, said = called([command, *argv, *([] if value is None else [value])], capfd)
    assert code == 2, said
    assert f"error: {flag}" in said


# ---- paths


NO_PATHS = {"--compare", "--store of simulate", "--store of deploy"}  # a run; a kind of store; that of functions


def options_of_files():
    for name in COMMANDS:
        for words in ((), ("--platform", "openfaas")) if name == "deploy" else ((),):
            for action in parser_of(name, words)._actions:
                flag = action.option_strings[-1] if action.option_strings else ""
                names_one = (
                    action.metavar in ("FILE", "DIR")
                    or flag.endswith("store")
                    or flag in ("--out", "--folder", "--case")
                )
                if flag and names_one and not {flag, f"{flag} of {name}"} & NO_PATHS and action.nargs != 0:
                    yield pytest.param(name, words, flag, action.dest, id=f"{name} {flag}")


@pytest.mark.parametrize(("name", "words", "flag", "dest"), [*options_of_files()])
def test_a_path_may_begin_with_the_home_folder(name, words, flag, dest, tmp_path, monkeypatch):
    """A shell leaves the ~ of `--out=~/x` alone, and a folder of that name is never meant."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if (name, flag) == ("deploy", "--case"):
        return  # a name in the image of a function
    parser = parser_of(name, words)
    words = (*words, *(["w.st", "new.csv"] if name == "predict" else []))
    assert getattr(parser.parse_args([*words, f"{flag}=~/x"]), dest) == str(tmp_path / "home" / "x")
    with pytest.raises(SystemExit):
        parser.parse_args([*words, f"{flag}=~nobody-here/x"])


def test_a_user_without_a_home_can_train(train, monkeypatch):
    """A number without a name and without HOME, as in a container: nothing is kept from one run to the next."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(places, "_listed", lambda: None)
    argv = (*C[1:], "--rounds", 1, "--steps-per-round", 2, "--out", "w.st", "--calibrate")
    done = train(*argv)
    assert done.code == 0, done.err
    assert sorted(path.name for path in Path().iterdir()) == [".nnlite", "w.st"]
    asked = train("--case", "c", "--dataset", "mnist")
    assert (asked.code, "set HOME" in asked.err) == (2, True)
    assert train(*C[1:], "--store", "~/x").code == 2


def test_without_a_folder_for_temporary_files(train, monkeypatch):
    """A container whose file system cannot be written, say: what needs none still works."""
    small = (*C[1:], "--rounds", 1, "--steps-per-round", 2, "--out", "w.st")
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", "/proc/nowhere")
        done = train(*small, "--calibrate")
        assert (done.code, "set TMPDIR" in done.err, "Traceback" in done.err) == (2, True, False)
        assert train(*small).code == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("check the run's id and store=", "check the run's id and --store"),
        ("check store=, or checkpoint_store=: one is wrong", "check --store, or --checkpoint-store: one is wrong"),
        ("allow more (budget_usd=), or memory_mb=?", "allow more (--budget-usd), or --memory-mb?"),
        ("go on with it (resume='mine'), or", "go on with it (--resume mine), or"),
        ("name the file, case='my case.py'", "name the file, --case 'my case.py'"),
        ("give that by prices=FILE", "give that by --prices FILE"),
        ("name parallel=", "name --workers"),
        ("add ?region=eu-west-1 to store=", "add ?region=eu-west-1 to --store"),
        ("NNLITE_DATA=DIR, a=b, x == y and self.store=3", "NNLITE_DATA=DIR, a=b, x == y and self.store=3"),
        ("wanted crash=.001,lose=.01", "wanted crash=.001,lose=.01"),
    ],
)
def test_arguments_in_messages_of_the_library_are_spelled_as_options(said, shown):
    assert with_options(said, {"parallel": "--workers"}) == shown
