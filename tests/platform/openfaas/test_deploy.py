"""`tools.deploy --platform openfaas`: what it fills in, asks, makes, runs and says."""

from __future__ import annotations

import copy
import functools
import json
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from nnlite.commands import door, options
from nnlite.data import catalog
from nnlite.errors import RunError, UsageError
from nnlite.invoker.openfaas import credentials
from nnlite.platform.openfaas import images, stack_file
from nnlite.platform.openfaas.stack_file import Wanted
from tests.platform.openfaas.gateway import ROOT
from tests.tools.documented import check

FAAS = ROOT / "faas"
OPENFAAS = ("--platform", "openfaas", "--image-prefix", "ghcr.io/you")


class Done(NamedTuple):
    code: int
    out: str
    err: str


Deploy = Callable[..., Done]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, without programs, and nobody there to be asked."""
    for name in ("REGISTRY", "TAG", "OPENFAAS_URL", credentials.SECRET_FILE):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def deploy(capfd: pytest.CaptureFixture[str]) -> Deploy:
    """deploy(*argv): the command, in this process."""

    def call(*argv: object) -> Done:
        capfd.readouterr()
        code = door.enter("deploy", [*OPENFAAS, *map(str, argv)])
        return Done(code, *capfd.readouterr())

    return call


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """faas-cli and kubectl, which only write down what they were asked, and where; a secret is there already."""
    for name in ("faas-cli", "kubectl"):
        script = f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/log\necho said\n[ "$2" != create ]\n'
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path / "log"


def filled(*argv: object) -> dict[str, Any]:
    args = door.parser_of("deploy", OPENFAAS).parse_args([*OPENFAAS, *map(str, argv)])
    wanted = Wanted(**options.given(args, Wanted)).completed(os.environ)
    stack = stack_file.filled(stack_file.load(FAAS / "stack.yaml"), wanted)
    stack_file.check(stack, FAAS)
    return stack


# ---- what is filled in


def test_choices_are_filled_in():
    stack = filled("--workers", 6, "--exec-timeout", "90s", "--protocol", "downpour", "--tag", "v1", "--memory-mb", 256)
    train, setup = stack["functions"]["emnist-train"], stack["functions"]["emnist-setup"]
    assert train["image"] == "ghcr.io/you/emnist-train:v1"
    room = int(train["environment"]["max_inflight"]) * int(train["labels"]["com.openfaas.scale.min"])
    assert room >= 6
    assert train["environment"]["exec_timeout"] == setup["environment"]["exec_timeout"] == "90s"
    assert (setup["environment"]["workers"], setup["environment"]["protocol"]) == ("6", "downpour")
    assert train["limits"]["memory"] == train["requests"]["memory"] == "256Mi"
    assert yaml.safe_load(stack_file.dump(stack)) == stack


def test_faasd_has_a_function_a_worker():
    stack = filled("--faasd", "--workers", 2)
    assert sorted(stack["functions"]) == ["emnist-setup", "worker-1", "worker-2"]
    for function in stack["functions"].values():
        assert function["environment"]["train_function"] == "worker-{worker}"
        assert function["environment"]["gateway_url"] == "http://10.62.0.1:8080"


@pytest.mark.parametrize("faasd", [True, False])
def test_another_namespace(faasd):
    stack = filled("--namespace", "staging", "--workers", 2, *(["--faasd"] if faasd else []))
    for function in stack["functions"].values():
        assert function["namespace"] == "staging"
        expected = "worker-{worker}.staging" if faasd else "emnist-train.staging"
        assert function["environment"]["train_function"] == expected
    store = stack["functions"]["emnist-setup"]["environment"]["store"]
    if not faasd:
        assert store.startswith(
            "memcached://memcached.staging:11211/nnlite?cache=memcached://memcached-near.staging:11211/"
        )
    assert "openfaas-fn" not in yaml.dump(stack)


OF_THE_STACK: dict[str, tuple[object, ...]] = {  # option -> how it can be given
    "faasd": ("--faasd",), "workers": ("--workers", 2), "replicas": ("--replicas", 2),
    "memory_mb": ("--memory-mb", 256), "exec_timeout": ("--exec-timeout", "90s"),
    "invocation": ("--invocation", "async"), "image_prefix": ("--image-prefix", "r/y"), "tag": ("--tag", "v2"),
    "namespace": ("--namespace", "staging"), "gateway": ("--gateway", "https://f.example"), "case": ("--case", "c"),
    "dataset": ("--dataset", "mnist"), "batch_size": ("--batch-size", 7), "rounds": ("--rounds", 3),
    "protocol": ("--protocol", "downpour"), "store": ("--store", "memcached://m:1/x"),
}  # fmt: skip
OF_THE_COMMAND = {  # each has a test of its own below
    "folder", "build_dir", "secret_file", "data", "dry_run", "yes", "json",
}  # fmt: skip


def test_no_option_does_nothing():
    known = vars(door.parser_of("deploy", OPENFAAS).parse_args(OPENFAAS)).keys() - {"platform", "debug"}
    assert known == OF_THE_STACK.keys() | OF_THE_COMMAND
    plain = filled()
    assert [name for name, words in OF_THE_STACK.items() if filled(*words) == plain] == []


def test_a_folder_of_one_s_own(deploy, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(FAAS, mine, symlinks=True, ignore=shutil.ignore_patterns("nnlite"))
    (mine / "stack.yaml").write_text((mine / "stack.yaml").read_text().replace("cpu: 500m", "cpu: 700m"))
    (mine / "emnist-train" / "more.py").touch()
    assert deploy("--folder", mine, "--build-dir", "b").code == 1
    assert yaml.safe_load(Path("b/stack.yaml").read_text())["functions"]["emnist-train"]["requests"]["cpu"] == "700m"
    assert Path("b/emnist-train/more.py").exists()
    assert Path("b/emnist-train/nnlite/__init__.py").exists()


def of_one_s_own(folder: Path, handler: str = "./emnist-setup") -> Path:
    """A folder with a stack, whose emnist-setup has that handler."""
    shutil.copytree(FAAS, folder, ignore=shutil.ignore_patterns("nnlite", "stack.schema.json", "__pycache__"))
    stack = (folder / "stack.yaml").read_text().replace("handler: ./emnist-setup", f"handler: {handler}")
    (folder / "stack.yaml").write_text(images.MARK + stack)
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("handler", ["./../fn", "./", "./.", "./fn/../fn", "./k8s", "./k8s/fn", "./emnist-train/fn"])
def test_a_handler_has_a_folder_of_its_own_beside_the_stack(handler, deploy):
    """Else what is made anew for an image would be something else of this user's."""
    mine = of_one_s_own(Path("mine"), handler)
    for place in ("fn", "mine", "mine/fn", "mine/k8s", "mine/k8s/fn", "mine/emnist-train/fn"):
        shutil.copytree(FAAS / "emnist-setup", place, dirs_exist_ok=True)
    before = everything(Path())
    done = deploy("--folder", mine, "--build-dir", "b")
    assert everything(Path()) == before
    assert done.code == 1
    assert re.search(r"error: mine/stack\.yaml: .*handler.*; wanted (a folder|them side by side)", done.err)


@pytest.mark.parametrize(
    ("build", "argv"),
    [
        ("mine", ()),  # the very folder
        ("mine/emnist-setup/b", ()),  # what is copied there, copies itself
        ("link", ()),
        ("inside", ()),
        ("b", ("--data", "b/emnist-setup/data")),
        ("b", ("--secret-file", "b/emnist-train/hmac")),  # an existing one
        ("b", ("--secret-file", "b/emnist-train/new")),
    ],
)
def test_nothing_that_was_given_is_overwritten(build, argv, deploy, tmp_path):
    mine = of_one_s_own(tmp_path / "here" / "mine")
    assert deploy("--folder", mine, "--build-dir", "b").code == 1
    Path("link").symlink_to("mine")
    Path("inside").mkdir()
    shutil.copy("b/stack.yaml", "inside/stack.yaml")
    Path("inside", "emnist-setup").symlink_to(mine / "emnist-setup")
    Path("b", "emnist-setup", "data").mkdir()
    for part, kind in ((p, k) for p in ("train", "test") for k in ("images-idx3", "labels-idx1")):
        Path("b", "emnist-setup", "data", f"emnist-bymerge-{part}-{kind}-ubyte.gz").write_bytes(b"x")
    Path("b", "emnist-train", "hmac").write_text("a secret of this user's")
    before = everything(Path())
    done = deploy("--folder", mine, "--build-dir", build, *argv)
    assert everything(Path()) == before
    assert done.code == 2
    assert re.search(rf"error: --build-dir {build}: .*(would overwrite|leads to) .*; name another folder", done.err)


def test_a_build_folder_may_lie_in_the_stack_s(deploy):
    """That is where one begins who works in it."""
    mine = of_one_s_own(Path("mine"))
    before = everything(mine)
    for _ in range(2):
        assert deploy("--folder", mine, "--build-dir", "mine/b").code == 1
    assert {name: data for name, data in everything(mine).items() if not name.startswith("mine/b/")} == before
    assert Path("mine/b/emnist-setup/handler.py").exists()


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("--workers", 0), "--workers 0: wanted 1 to 1000"),
        (("--workers", 10**9, "--faasd"), "wanted 1 to 1000"),
        (("--replicas", 0), "--replicas 0: wanted 1 to 1000"),
        (("--faasd", "--replicas", 2), "--replicas: faasd runs one container a function"),
        (("--memory-mb", 0), "--memory-mb 0: wanted at least 64"),
        (("--exec-timeout", "5s"), "--exec-timeout 5s: wanted 10s or more"),
        (("--exec-timeout", "5 minutes"), "wanted one like 90s"),
        (("--image-prefix", ""), "--image-prefix : wanted the place that images are pushed to"),
        (("--image-prefix", "Ghcr.io/You"), "--image-prefix Ghcr.io/You: wanted the place"),
        (("--tag", "a b"), "--tag 'a b': wanted letters"),
        (("--namespace", "A/b"), "function 'emnist-train.A/b': wanted letters"),
        (("--gateway", "f.example"), "gateway 'f.example': wanted http://host:port"),
        (("--rounds", "many"), "rounds = 'many': wanted a whole number"),
        (("--protocol", "gossip"), "no protocol 'gossip'"),
        (("--dataset", "fruit"), "no dataset 'fruit'"),
        (("--folder", "nowhere"), "stack.yaml: No such file or directory; --folder says"),
        (("--data", "nowhere"), "no emnist-bymerge in --data nowhere"),
        (("--dataset", "bits", "--data", "."), "bits has no files of its own: leave it out"),
        (("--memory-mb", "x"), "argument --memory-mb: invalid int value"),
        (("--timeout-s", 5), "unrecognized arguments: --timeout-s 5"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(argv, why, deploy, programs):
    done = deploy(*argv, "--yes")
    assert done.code in (1, 2)
    assert why in done.err.splitlines()[-1]
    assert list(Path().iterdir()) == []
    assert not programs.exists()


# ---- what is made and run


def test_commands_are_run_in_order_where_they_are_installed(deploy, programs, tmp_path):
    done = deploy("--yes", "--gateway", "http://g:1", "--namespace", "staging")
    assert done.code == 0, done.err
    secret = tmp_path / "here" / "hmac.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    said = [shlex.split(line) for line in programs.read_text().splitlines()]
    assert [line[1:3] for line in said] == [
        ["apply", "-f"], ["secret", "create"], ["secret", "update"], ["build", "-f"], ["push", "-f"], ["deploy", "-f"],
    ]  # fmt: skip
    assert said[1][3:] == [
        "nnlite-hmac",
        "--from-file",
        str(secret),
        "--gateway",
        "http://g:1",
        "--namespace",
        "staging",
    ]
    assert said[-1][-2:] == ["--gateway", "http://g:1"]
    (tmp_path / "bin" / "faas-cli").write_text("#!/bin/sh\nexit 3\n")
    failed = deploy("--yes")
    assert failed.code == 1
    assert re.search(r"error: `faas-cli secret update .* ended with code 3; nothing after it was run", failed.err)


def test_it_asks_once_before_anything_is_made(deploy, programs, tmp_path):
    done = deploy("--workers", 2)
    assert done.code == 2
    assert (
        "build 2 functions, push them, and deploy them at http://127.0.0.1:8080? Nobody can be asked here: say --yes"
        in (done.err)
    )
    assert list(Path().iterdir()) == []
    assert not programs.exists()
    assert deploy("--dry-run").code == 0
    assert list(Path().iterdir()) == []


def test_without_faas_cli_the_commands_that_are_said_work(deploy, tmp_path, request):
    """In the order in which they are said, on the files that were made: with programs that look for those."""
    done = deploy()
    assert done.code == 1
    assert "faas-cli and kubectl not installed here, so nothing was deployed: run these elsewhere" in done.err
    request.getfixturevalue("programs")
    look = 'case $word in *.yaml|*.secret|k8s/) test -e "$word" || exit 9;; esac'
    check = f'#!/bin/sh\nfor word in "$@"; do {look}; done\necho "$1" >> {tmp_path}/log\n'
    for name in ("faas-cli", "kubectl"):
        (tmp_path / "bin" / name).write_text(check)
    ran = subprocess.run(["/bin/sh", "-e", "-c", done.out], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "log").read_text().split() == ["apply", "secret", "build", "push", "deploy"]
    assert len(credentials.secret(str(tmp_path / "here" / "hmac.secret"), {})) == 64


def test_a_secret_is_made_once_and_is_the_one_that_training_reads(deploy, monkeypatch, tmp_path):
    monkeypatch.setenv(credentials.SECRET_FILE, str(tmp_path / "mine.secret"))
    first = deploy()
    assert f"--from-file {tmp_path}/mine.secret" in first.out
    made = credentials.secret(None, os.environ)
    again = deploy()
    assert "made a secret" in first.err
    assert "made a secret" not in again.err
    assert credentials.secret(None, os.environ) == made
    (tmp_path / "mine.secret").write_text("")  # of a command that died
    done = deploy()
    assert done.code == 2
    assert f"the secret in {tmp_path}/mine.secret has 0 bytes, expected at least 16" in done.err


def test_images_hold_what_they_need_and_no_more(deploy):
    files = Path("files", "emnist")
    files.mkdir(parents=True)
    for split in ("bymerge", "letters"):
        for part, kind in ((p, k) for p in ("train", "test") for k in ("images-idx3", "labels-idx1")):
            (files / f"emnist-{split}-{part}-{kind}-ubyte.gz").write_bytes(b"x")
    assert deploy("--data", "files").code == 1
    build = Path("nnlite-openfaas")
    assert sorted(path.name for path in build.iterdir()) == ["emnist-setup", "emnist-train", "k8s", "stack.yaml"]
    data = sorted(path.name for path in build.glob("*/data/*"))
    assert len(data) == 4
    assert all(name.startswith("emnist-bymerge-") for name in data)
    assert catalog.find("emnist-bymerge", data_dir=build / "emnist-setup" / "data") is not None
    setup = yaml.safe_load((build / "stack.yaml").read_text())["functions"]["emnist-setup"]["environment"]
    assert setup["data"] == "function/data"
    assert list(build.glob("emnist-train/**/samples")) == []
    assert not [path for path in build.rglob("*") if path.name in ("__pycache__", "commands", "functions")]
    assert not any(path.is_symlink() for path in build.rglob("*"))
    assert deploy().code == 1  # without --data, its files are gone again
    assert list(build.glob("*/data")) == []
    setup = yaml.safe_load((build / "stack.yaml").read_text())["functions"]["emnist-setup"]["environment"]
    assert "data" not in setup  # so emnist-setup fetches them


def test_a_folder_with_something_else_is_left_alone(deploy):
    Path("mine").mkdir()
    Path("mine", "stack.yaml").write_text("version: 1.0\n")
    done = deploy("--build-dir", "mine")
    assert done.code == 2
    assert "--build-dir mine: there is something else than what tools.deploy made" in done.err
    assert Path("mine", "stack.yaml").read_text() == "version: 1.0\n"
    done = deploy("--build-dir", Path(sys.executable))
    assert done.code == 2


def test_what_is_made_is_told_as_json(deploy, request):
    said = [deploy("--json", "--dry-run").out, deploy("--json").out]
    assert check("tools.deploy openfaas", "".join(said)) == {"planned", "prepared"}
    planned, prepared = map(json.loads, said)
    assert (planned.pop("event"), prepared.pop("event")) == ("planned", "prepared")
    assert planned == prepared
    assert planned["images"]["emnist-train"] == "ghcr.io/you/emnist-train:latest"
    assert planned["commands"][-1] == "faas-cli deploy -f stack.yaml --gateway http://127.0.0.1:8080"
    request.getfixturevalue("programs")
    done = deploy("--json", "--yes")
    assert check("tools.deploy openfaas", done.out) == {"deployed"}
    deployed = json.loads(done.out)  # what the programs said is not in between
    assert (deployed["event"], deployed["commands"]) == ("deployed", [])
    assert "said" in done.err


def test_the_environment_names_registry_tag_and_gateway(monkeypatch):
    for name, value in (("REGISTRY", "r.example/me"), ("TAG", "v9"), ("OPENFAAS_URL", "https://f.example")):
        monkeypatch.setenv(name, value)
    args = door.parser_of("deploy", OPENFAAS).parse_args(["--platform", "openfaas"])
    wanted = Wanted(**options.given(args, Wanted)).completed(os.environ)
    stack = stack_file.filled(stack_file.load(FAAS / "stack.yaml"), wanted)
    assert stack["functions"]["emnist-setup"]["image"] == "r.example/me/emnist-setup:v9"
    assert stack["provider"]["gateway"] == "https://f.example"


def damaged(stack: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What its author may have forgotten, or written in its place, at every single place of a stack."""

    def places(values: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, value in values.items():
            yield (*before, name)
            yield from places(value, (*before, name)) if isinstance(value, dict) else ()

    for *to, last in places(stack):
        for instead in ("nothing", None, 5, [], {}, "x", {5: "x"}, "./emnist-train"):
            other = copy.deepcopy(stack)
            place = functools.reduce(operator.getitem, to, other)
            if instead == "nothing":
                del place[last]
            else:
                place[last] = instead
            yield f"{'.'.join((*to, last))} is {instead}", other


@pytest.mark.parametrize("how", [(), ("--faasd",), ("--namespace", "x"), ("--memory-mb", 256)], ids=str)
def test_a_stack_of_ones_own_is_deployed_or_refused_in_one_line(how, tmp_path, monkeypatch):
    """Whatever is missing or damaged in it, before anything reads it."""
    args = door.parser_of("deploy", OPENFAAS).parse_args([*OPENFAAS, *map(str, how)])
    wanted = Wanted(**options.given(args, Wanted)).completed(os.environ)
    stack = yaml.safe_load((FAAS / "stack.yaml").read_text())
    (tmp_path / "stack.yaml").touch()
    refused = []
    for what, other in damaged(stack):
        monkeypatch.setattr(yaml, "safe_load", lambda _, other=other: other)
        try:
            stack_file.check(stack_file.filled(stack_file.load(tmp_path / "stack.yaml"), wanted), FAAS)
        except (RunError, UsageError) as error:
            refused.append(str(error))
        except Exception as error:
            raise AssertionError(what) from error
    assert len(refused) > 300
    assert not [text for text in refused if "\n" in text]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n", "wanted a stack, found list"),
        ("functions: []\n", "at the top: 'version' is a required property"),
        ("a: 2026-13-41\n", "is no YAML: month must be in 1..12"),
        ("a: [\n", "is no YAML: while parsing"),
        ("", "wanted a stack, found NoneType"),
    ],
)
def test_a_stack_of_another_kind_is_refused(text, says, tmp_path, deploy):
    (tmp_path / "stack.yaml").write_text(text)
    done = deploy("--folder", tmp_path, "--dry-run")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert f"{tmp_path}/stack.yaml" in line
    assert says in line


def test_a_stack_without_our_functions_names_them(tmp_path, deploy):
    stack = yaml.safe_load((FAAS / "stack.yaml").read_text())
    stack["functions"]["mine"] = stack["functions"].pop("emnist-train")
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(stack))
    done = deploy("--folder", tmp_path, "--dry-run")
    assert (done.code, done.out) == (1, "")
    assert (
        "wanted the functions emnist-train and emnist-setup, and perhaps others; found emnist-setup, mine" in done.err
    )
