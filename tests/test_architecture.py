"""The table of `docs/architecture.md`: who may import whom; and what holds for every module of the house."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import nnlite

ROOT = Path(__file__).resolve().parents[1]

# The floors of the house, from the ground up. A module imports its own area and what lies below its floor: never
# upwards, never sideways; anywhere in it: at the top, inside functions, under TYPE_CHECKING.
FLOORS: list[set[str]] = [
    {"errors", ""},  # "": nnlite/__init__.py
    {"numbers", "places"},
    {
        "records",
        "magic",
        "output",
        "locks",
        "described",
        "safetensors",
        "case_file",
        "required",
        "choices",
        "mixed",
        "quantities",
    },
    {"nn", "data", "store", "weights", "space", "invoker"},
    {"protocol", "cases", "interchange"},
    {"cost", "configured"},
    {"telemetry"},
    {"runtime", "report"},
    {"runs", "simulation"},
    {"searches", "estimating"},
    {"platform"},
    {"api"},
    {"commands"},
    {"__main__"},
]
# What an area may not import although it lies below, because it must stay pure.
NEVER: dict[str, set[str]] = {
    "protocol": {"nn", "data", "store", "space", "invoker", "places", "output", "locks"},
    "cost": {"nn", "data", "store", "weights", "invoker", "cases"},
    "cases": {"store", "weights", "invoker", "protocol"},
}
# Area, or package in it -> the packages of others that it may import.
OTHERS: dict[str, set[str]] = {
    "numbers": {"numpy"},
    "interchange": {"numpy", "onnx"},
    "mixed": {"numpy"},
    "nn": {"numpy"},
    "data": {"numpy"},
    "data.own": {"PIL"},
    "weights": {"numpy"},
    "space": {"numpy"},
    "protocol": {"numpy"},
    "cases": {"numpy"},
    "configured": {"numpy"},
    "cost": {"numpy"},
    "telemetry": {"numpy"},
    "runtime": {"numpy"},
    "runs": {"numpy"},
    "simulation": {"numpy"},
    "searches": {"numpy"},
    "estimating": {"numpy"},
    "api": {"numpy", "tqdm"},
    "report": {"matplotlib"},
    "store.s3": {"boto3", "botocore"},
    "store.memcached": {"pymemcache"},
    "invoker.aws": {"boto3", "botocore"},
    "invoker.openfaas": {"urllib3"},
    "platform.aws": {"botocore"},
    "platform.openfaas": {"yaml", "jsonschema", "kubernetes_validate"},
    "commands": {"numpy", "tqdm", "matplotlib"},
}
# (module, what it imports although the table does not allow it)
EXCEPTIONS = {
    ("nnlite", "nnlite.runs.model_file"),  # `nnlite.load`, resolved when it is first asked for
    ("nnlite", "nnlite.protocol.averaging.protocol"),
    ("nnlite", "nnlite.protocol.downpour.protocol"),
    ("nnlite", "nnlite.interchange.torch_state"),
    ("nnlite", "nnlite.api"),
    ("nnlite", "nnlite.runs.job"),
    ("nnlite", "nnlite.platform.local"),
    ("nnlite", "nnlite.platform.aws.functions"),
    ("nnlite", "nnlite.platform.openfaas.functions"),
}
# only what these modules import by name when they are asked to
LAZY_ONLY = {
    "PIL", "onnx", "boto3", "botocore", "pymemcache", "tqdm", "torch", "matplotlib", "yaml", "jsonschema",
    "kubernetes_validate",
}  # fmt: skip
PROTOCOL_NEVER = {
    "asyncio", "datetime", "http", "io", "multiprocessing", "os", "pathlib", "random", "secrets", "select",
    "shutil", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
MAX_FUNCTION_LINES = 40


@dataclass(frozen=True)
class Import:
    """One import: by which module, of what, on which line, and whether only when a function runs."""

    module: str
    target: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, name: str | None = None) -> list[Import]:
    """Every import of a file, as full names; `from nnlite import nn` counts as one of nnlite.nn."""
    name, found = name or module_name(path), []

    def visit(node: ast.AST, lazy: bool) -> None:
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            targets = [_submodule(base, alias.name) for alias in node.names]
        found.extend(Import(name, target, node.lineno, lazy) for target in targets)
        inside = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text()), False)
    return found


def _submodule(base: str, name: str) -> str:
    """`from base import name`: the module that gives it."""
    inner = ROOT.joinpath(*base.split("."), name)
    is_module = base.partition(".")[0] in {"nnlite", "tools"} and (inner.is_dir() or inner.with_suffix(".py").is_file())
    return f"{base}.{name}" if is_module else base


def area(module: str) -> str:
    """nnlite.store.s3.client -> store"""
    return ".".join(module.split(".")[1:2])


def floor(name: str) -> int | None:
    return next((level for level, areas in enumerate(FLOORS) if name in areas), None)


def trespasses(found: list[Import]) -> Iterator[str]:
    """Those imports of modules of nnlite that the floors do not allow."""
    for one in found:
        mine, package = area(one.module), one.target.partition(".")[0]
        here = floor(mine)
        if here is None:
            yield f"{one.module} is on no floor: put it on one, here and in docs/architecture.md"
        elif package == "nnlite":
            there = floor(area(one.target))
            is_below = there is not None and there < here and area(one.target) not in NEVER.get(mine, ())
            if area(one.target) != mine and not is_below and (one.module, one.target) not in EXCEPTIONS:
                yield str(one)
        elif package == "argparse" and mine != "commands":
            yield f"{one}: command lines are parsed in nnlite/commands"
        elif package not in sys.stdlib_module_names:
            inner = ".".join(one.module.split(".")[1:3])
            if package not in OTHERS.get(mine, set()) | OTHERS.get(inner, set()):
                yield str(one)


def test_who_imports_whom():
    assert list(trespasses([one for path in sources("nnlite") for one in imports_of(path)])) == []


def test_every_exception_is_needed():
    there = {(one.module, one.target) for path in sources("nnlite") for one in imports_of(path)}
    assert there >= EXCEPTIONS


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nnlite/nn/x.py", "from nnlite import store"),
        ("nnlite/nn/x.py", "from nnlite.data import idx"),
        ("nnlite/nn/x.py", "import torch"),
        ("nnlite/nn/x.py", "def f():\n    from nnlite.runtime import trainer"),
        ("nnlite/protocol/x.py", "from nnlite.store import Store"),
        ("nnlite/protocol/x.py", "if TYPE_CHECKING:\n    from nnlite.store import Store"),
        ("nnlite/protocol/x.py", "from ..store import Store"),
        ("nnlite/protocol/x.py", "import boto3"),
        ("nnlite/store/file.py", "import boto3"),
        ("nnlite/store/s3.py", "import pymemcache"),
        ("nnlite/invoker/local.py", "from nnlite.runtime import workers"),
        ("nnlite/errors.py", "from nnlite import nn"),
        ("nnlite/errors.py", "import numpy"),
        ("nnlite/places.py", "from nnlite import data"),
        ("nnlite/magic.py", "import numpy"),
        ("nnlite/errors.py", "from nnlite.records import parse"),
        ("nnlite/records/x.py", "import numpy"),
        ("nnlite/cases.py", "from nnlite import runtime"),
        ("nnlite/cost/x.py", "from nnlite import store"),
        ("nnlite/runtime/x.py", "from nnlite.runs import lifecycle"),
        ("nnlite/report/x.py", "from nnlite.runtime import trainer"),
        ("nnlite/runtime/x.py", "import tools"),
        ("nnlite/runtime/x.py", "from nnlite.commands import train"),
        ("nnlite/estimating/x.py", "from nnlite.platform import base"),
        ("nnlite/platform/x.py", "from nnlite.commands import train"),
        ("nnlite/platform/x.py", "import argparse"),
        ("nnlite/platform/aws/x.py", "import boto3"),
        ("nnlite/commands/x.py", "import tools"),
        ("nnlite/commands/x.py", "import lambda_pkg"),
        ("nnlite/invoker/x.py", "import argparse"),
        ("nnlite/newcomer/x.py", "import os"),
        ("nnlite/__init__.py", "from nnlite.nn import Dense"),
    ],
)
def test_the_table_can_be_broken(file, text, tmp_path):
    """What the walk must find, written into a file that stands in for one of nnlite's."""
    path = tmp_path / Path(file).name
    path.write_text(text)
    assert list(trespasses(imports_of(path, module_name(ROOT / file)))) != []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nnlite/store/s3/x.py", "def f():\n    import boto3"),
        ("nnlite/store/memcached/x.py", "from pymemcache.client.base import Client"),
        ("nnlite/invoker/openfaas/x.py", "import urllib3"),
        ("nnlite/runtime/x.py", "from nnlite import nn, data, weights, errors"),
        ("nnlite/runs/x.py", "from nnlite.runtime import trainer"),
    ],
)
def test_the_table_allows_what_it_should(file, text, tmp_path):
    path = tmp_path / Path(file).name
    path.write_text(text)
    assert list(trespasses(imports_of(path, module_name(ROOT / file)))) == []


def test_protocols_have_no_clock_no_io_and_no_dice():
    for path in sources("nnlite/protocol"):
        used = {one.target.partition(".")[0] for one in imports_of(path)}
        assert not used & PROTOCOL_NEVER, path
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id in {"open", "print", "input"}), path
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node).startswith("np.random")), path


PROTOCOLS = {"averaging", "downpour", "search"}


def comparisons_of_protocols(tree: ast.AST) -> Iterator[int]:
    """Lines where something depends on which protocol it is, instead of asking the protocol."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Match) and _is_protocol(node.subject):
            yield node.lineno
        if not isinstance(node, ast.Compare):
            continue
        operands = [node.left, *node.comparators]
        literals = [part for one in operands for part in getattr(one, "elts", [one])]
        is_named = any(isinstance(one, ast.Constant) and one.value in PROTOCOLS for one in literals)
        is_equal = any(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops) and any(map(_is_protocol, operands))
        if is_named or is_equal:
            yield node.lineno


def _is_protocol(node: ast.expr) -> bool:
    return getattr(node, "attr", getattr(node, "id", "")) == "protocol"


def test_nothing_depends_on_the_name_of_a_protocol():
    """What differs between protocols is asked of `spec.rules`; so another one needs no change elsewhere."""
    own = {ROOT / "nnlite" / "protocol" / name for name in PROTOCOLS}
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in [*sources("nnlite", "tools", "lambda_pkg"), *(ROOT / "faas").rglob("*.py")]
        if path.parent not in own
        for line in comparisons_of_protocols(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        'if spec.protocol == "downpour": pass', "x = SEARCH != spec.protocol", 'y = name in ("averaging", "downpour")',
        'z = args.protocol != other', 'match spec.protocol:\n    case "averaging": pass',
    ],
)  # fmt: skip
def test_comparisons_of_protocols_are_found(text):
    assert list(comparisons_of_protocols(ast.parse(text))) != []


def test_tools_import_nnlite_and_one_another():
    for one in [one for path in sources("tools", "nnlite/commands") for one in imports_of(path)]:
        package = one.target.partition(".")[0]
        assert package in {"nnlite", "tools", "numpy", *LAZY_ONLY} | sys.stdlib_module_names, str(one)
        assert one.lazy or package not in LAZY_ONLY, f"{one}: only inside the function that needs it"


def test_the_function_imports_nnlite_and_its_own():
    for one in [one for path in sources("lambda_pkg") for one in imports_of(path)]:
        package = one.target.partition(".")[0]
        assert package in {"nnlite", "lambda_pkg"} | sys.stdlib_module_names, str(one)


NOTEBOOK = "tests/api/cells.py"  # it runs the cells that tests write, as a notebook does: nobody else may
DANGEROUS_MODULES = {"marshal", "shelve", "dill", "cloudpickle", "joblib"} | {"".join(("pick", "le"))}


def dangers(path: Path) -> Iterator[str]:
    """What could run code that somebody else wrote."""
    for one in imports_of(path):
        if one.target.partition(".")[0] in DANGEROUS_MODULES:
            yield str(one)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec", "compile"}:
            yield f"{path}:{node.lineno} {node.func.id}()"
        for keyword in node.keywords:
            allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg == "allow_pickle" and not allowed:
                yield f"{path}:{node.lineno} allow_pickle"
            if keyword.arg == "weights_only" and not getattr(keyword.value, "value", False):
                yield f"{path}:{node.lineno} weights_only"


def test_nothing_unpickles_or_evaluates():
    paths = [path for path in sources("nnlite", "tools", "lambda_pkg", "tests") if not path.match(NOTEBOOK)]
    assert [danger for path in paths for danger in dangers(path)] == []


@pytest.mark.parametrize(
    "text",
    [
        "from pickle import loads", "def f():\n    import pickle", "import shelve", "exec('1')", "eval('1')",
        "np.load('x', allow_pickle=True)", "np.load('x', allow_pickle=flag)",
    ],
)  # fmt: skip
def test_dangers_are_found(text):
    path = ROOT / "nnlite" / "x.py"

    class Text(type(path)):  # type: ignore[misc]
        def read_text(self, *_: object) -> str:
            return text

    assert list(dangers(Text(path))) != []


def platforms_by_name(text: str) -> list[int]:
    """Lines that compare the name of a platform with a text: what differs between platforms is theirs to say."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            named = {ast.unparse(side).rpartition(".")[2] for side in sides if ast.unparse(side) != "sys.platform"}
            has_text = any(isinstance(inner, ast.Constant) and isinstance(inner.value, str)
                           for side in sides for inner in ast.walk(side))  # fmt: skip
            if "platform" in named and has_text:
                found.append(node.lineno)
    return found


def test_only_platforms_know_their_names():
    paths = [path for path in sources("nnlite", "tools") if not path.is_relative_to(ROOT / "nnlite" / "platform")]
    assert {str(path): lines for path in paths if (lines := platforms_by_name(path.read_text()))} == {}
    for text in ("args.platform == 'local'", "'local' != platform", "spec.rates.platform in ('lambda', 'x')"):
        assert platforms_by_name(text) == [1], text
    for text in ("sys.platform == 'darwin'", "args.platform in PLATFORMS", "args.store == 'x'"):
        assert platforms_by_name(text) == [], text


# ---- size and docstrings


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Names and lengths, docstrings not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            doc = node.body[0] if ast.get_docstring(node) else None
            yield node.name, _lines(node) - (_lines(doc) if doc else 0)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_are_short():
    """A file is as long as its concept needs; a function that does not fit on a screen has two."""
    long = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in sources("nnlite", "tools", "lambda_pkg")
        for name, lines in functions(path)
        if lines > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_commands_and_tools_hide_no_module():
    """A module is what its name says, for everyone; what is internal to one is a name in it."""
    paths = [*sources("tools"), *(path for path in sources("nnlite") if path.is_relative_to(ROOT / "nnlite/commands"))]
    assert [str(path) for path in paths if path.name.startswith("_") and not path.name.startswith("__")] == []
    doors = [path for path in sources("tools") if path.parent == ROOT / "tools" and path.name != "lock.py"]
    assert {path.name for path in doors if len(path.read_text().splitlines()) >= 10} == set()


def test_no_public_class_has_the_name_of_another():
    """A name that is read without its module means one thing."""
    places: dict[str, list[str]] = {}
    for path in sources("nnlite", "lambda_pkg"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def modules() -> Iterator[object]:
    for found in pkgutil.walk_packages(nnlite.__path__, "nnlite."):
        try:
            yield importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            if error.name not in LAZY_ONLY:
                raise


def undocumented(module: object) -> Iterator[str]:
    """What is public here and has no docstring; a method may inherit its base class's."""
    name = module.__name__  # type: ignore[attr-defined]
    if not inspect.getdoc(module):
        yield name
    for key, value in vars(module).items():
        if key.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if inspect.isclass(value):
            doc = value.__doc__ or ""
            if not doc or doc.startswith(f"{key}("):  # what @dataclass makes up
                yield f"{name}.{key}"
            for method, made in vars(value).items():
                of_interest = inspect.isfunction(made) or isinstance(made, (property, classmethod, staticmethod))
                if of_interest and not method.startswith("_") and not inspect.getdoc(getattr(value, method)):
                    yield f"{name}.{key}.{method}"
        elif inspect.isfunction(value) and not value.__doc__:
            yield f"{name}.{key}"


def test_everything_public_says_what_it_is():
    assert [what for module in modules() for what in undocumented(module)] == []
    texts = {str(p): p.read_text() for p in sources("nnlite", "tools", "lambda_pkg", "tests")}
    assert [path for path, text in texts.items() if text and not ast.get_docstring(ast.parse(text))] == []


# ---- what is loaded, and what is in the repository


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("import nnlite", "numpy boto3 botocore pymemcache torch"),
        ("import nnlite.store", "numpy boto3 botocore pymemcache torch"),
        ("import nnlite.runtime.local_process", "boto3 botocore pymemcache torch tqdm urllib.request"),
        ("import nnlite.commands.train", "boto3 botocore pymemcache torch tqdm"),
        ("import nnlite.commands.door, nnlite.commands.deploy_lambda", "numpy boto3 botocore pymemcache torch tqdm"),
        ("import nnlite.platform", "numpy boto3 botocore pymemcache torch tqdm"),
        ("import nnlite.platform.openfaas.unattended", "boto3 botocore pymemcache torch tqdm urllib.request"),
        ("import lambda_pkg.handler", "boto3 botocore pymemcache torch tqdm urllib.request"),
    ],
)
def test_imports_are_light(statement, never):
    """A function that starts cold pays for all of them."""
    code = f"{statement}; import sys; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) & set(never.split()) == set()


def tracked() -> list[Path]:
    """The text files of the repository, also those that are about to be added."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4000]]


MACHINE = re.compile(r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+|opt/\w+|mnt|tmp/\w*venv\w*)/")
ACCOUNT = re.compile(r"\barn:aws:\w+:[\w-]*:\d{12}\b|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b\d{12}\.dkr\.ecr\.")


def test_no_machine_s_paths_no_registry_no_account():
    ask = [sys.executable, "-m", "pip", "config", "list"]
    configured = subprocess.run(ask, capture_output=True, text=True, check=False)
    hosts = {urlsplit(word.strip("'\"")).hostname for word in configured.stdout.replace("=", " ").split()}
    hosts -= {None, "pypi.org", "files.pythonhosted.org"}
    for path in tracked():
        text = path.read_text(errors="replace")
        for pattern in (MACHINE, ACCOUNT):
            assert not (found := pattern.search(text)), f"{path}: {found and found[0]}"
        assert not any(host in text for host in hosts if host), path
        assert "index-url" not in text or path == Path(__file__), path


def test_packages_required_are_the_three():
    import configparser

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    required = config["options"]["install_requires"].split()
    assert sorted(re.match(r"[\w-]+", line)[0] for line in required) == ["boto3", "numpy", "pymemcache"]
