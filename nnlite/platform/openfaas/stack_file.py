"""The stack: what OpenFaaS is told of our functions, read, filled in with what was chosen, and checked."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from nnlite import cases
from nnlite.choices import choice
from nnlite.data import catalog
from nnlite.errors import RunError, UsageError, words
from nnlite.invoker import sources
from nnlite.invoker.openfaas.credentials import gateway_url
from nnlite.invoker.openfaas.deployed import split_name
from nnlite.invoker.openfaas.function import duration_s
from nnlite.platform.openfaas.unattended import CallPace
from nnlite.runs import job
from nnlite.runs.job import Job

TRAIN, SETUP = "emnist-train", "emnist-setup"
NAMESPACE = "openfaas-fn"  # of functions, unless somebody says otherwise
FAASD_GATEWAY, FAASD_STORE = "http://10.62.0.1:8080", "memcached://10.62.0.1:11211/nnlite"
MAX_REPLICAS = 5  # of the community edition
MOST_WORKERS = 1000
LEAST_MB, LEAST_TIMEOUT_S = 64, 10
SPARE_S = 10  # a watchdog's timeouts are so much longer than exec_timeout
CHOICES = ("case", "dataset", "batch_size", "rounds", "protocol", "store")  # into emnist-setup's environment
MANIFESTS = "k8s"  # the folder beside stack.yaml
DATA = "function/data"  # where an image has the dataset's files

OF_RUNS = "of runs that emnist-setup begins"


@dataclass(frozen=True)
class Wanted:
    """What is to be deployed: what a stack file is filled in with. None leaves a value as the file has it."""

    faasd: bool = choice(False, "one function a worker, worker-1 to worker-N, and no k8s/")
    workers: int = choice(3, "room for so many (default 3)", "W")
    replicas: int | None = choice(None, f"default: a worker each, at most {MAX_REPLICAS}", "R")
    memory_mb: int | None = choice(None, "of a worker's function (default 1024)", "MB")
    exec_timeout: str | None = choice(None, "how long one invocation may run", "5m")
    invocation: str | None = choice(None, "how invocations start others", None, ("sync", "async"))
    image_prefix: str | None = choice(None, "where images are pushed, like ghcr.io/you", "HOST/NAME")
    tag: str | None = choice(None, "of the images (default latest)", "TAG")
    namespace: str | None = choice(None, f"of functions and memcached (default {NAMESPACE})", "NAME")
    gateway: str | None = choice(None, "default: OPENFAAS_URL, or as in stack.yaml", "URL")
    data: str | None = choice(
        None, "put the dataset's files into emnist-setup; else it fetches them", "DIR", is_path=True
    )
    case: str | None = choice(None, OF_RUNS, "VALUE")
    dataset: str | None = choice(None, OF_RUNS, "VALUE")
    batch_size: str | None = choice(None, OF_RUNS, "VALUE")
    rounds: str | None = choice(None, OF_RUNS, "VALUE")
    protocol: str | None = choice(None, OF_RUNS, "VALUE")
    store: str | None = choice(None, OF_RUNS, "VALUE")

    def completed(self, environ: Mapping[str, str]) -> Wanted:
        """With what the environment gives: REGISTRY, TAG, OPENFAAS_URL."""
        return replace(
            self,
            image_prefix=self.image_prefix or environ.get("REGISTRY"),
            tag=self.tag or environ.get("TAG") or "latest",
            gateway=self.gateway or environ.get("OPENFAAS_URL"),
        )


def load(path: Path) -> dict[str, Any]:
    """The stack in a file. Raises UsageError when that is not there, and RunError for what our schema does not know."""
    try:
        import jsonschema  # noqa: F401
        import yaml
    except ImportError as error:
        raise UsageError(
            f"deploying to OpenFaaS reads YAML ({words(error)}): pip install pyyaml jsonschema kubernetes-validate"
        ) from None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; --folder says where stack.yaml is") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no text, or a date that there is not
        raise RunError(f"{path} is no YAML: {words(error)}") from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: wanted a stack, found {type(found).__name__}")
    _check_form(found, path)
    return found


def dump(stack: dict[str, Any]) -> str:
    """YAML that faas-cli reads."""
    import yaml

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return str(yaml.dump(stack, Dumper=Plain, sort_keys=False))


# ---- filling it in


def filled(stack: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The stack, as it was loaded, with what the command line says. Raises UsageError for what cannot be meant, and
    RunError for a stack without our functions."""
    check_options(wanted)
    stack = copy.deepcopy(stack)
    if not stack["functions"].keys() >= {TRAIN, SETUP}:
        found = ", ".join(sorted(stack["functions"]))
        raise RunError(f"stack.yaml: wanted the functions {TRAIN} and {SETUP}, and perhaps others; found {found}")
    train, setup = stack["functions"][TRAIN], stack["functions"][SETUP]
    environment, choices = train["environment"], setup["environment"]
    stack["configuration"].pop("copy", None)  # each function's folder has all that it needs
    stack["provider"]["gateway"] = gateway_url(wanted.gateway or None, {"OPENFAAS_URL": gateway_of(stack)})
    replicas = 1 if wanted.faasd else wanted.replicas or min(wanted.workers, MAX_REPLICAS)
    environment["max_inflight"] = str(1 if wanted.faasd else math.ceil(wanted.workers / replicas))
    train["labels"].update({"com.openfaas.scale.min": str(replicas), "com.openfaas.scale.max": str(replicas)})
    if wanted.memory_mb is not None:
        train["limits"]["memory"] = train["requests"]["memory"] = f"{wanted.memory_mb}Mi"
    for values in (environment, choices):
        _fill_times(values, wanted)
    _fill_choices(choices, wanted)
    if wanted.faasd:
        _for_faasd(stack, wanted)
    if wanted.namespace is not None:
        _into_namespace(stack, wanted)
    for name, function in stack["functions"].items():
        function["image"] = f"{(wanted.image_prefix or '').rstrip('/')}/{name}:{wanted.tag}"
    return stack


def gateway_of(stack: dict[str, Any]) -> str:
    """The gateway that a stack names; "" for none."""
    return str(stack["provider"].get("gateway") or "")


def check_options(wanted: Wanted) -> None:
    """Raise UsageError for what cannot be meant."""
    if not 1 <= wanted.workers <= MOST_WORKERS:
        raise UsageError(f"--workers {wanted.workers}: wanted 1 to {MOST_WORKERS}")
    if wanted.replicas is not None and not 1 <= wanted.replicas <= MOST_WORKERS:
        raise UsageError(f"--replicas {wanted.replicas}: wanted 1 to {MOST_WORKERS}")
    if wanted.replicas is not None and wanted.faasd:
        raise UsageError("--replicas: faasd runs one container a function, and so a function a worker: leave it out")
    if wanted.memory_mb is not None and wanted.memory_mb < LEAST_MB:
        raise UsageError(f"--memory-mb {wanted.memory_mb}: wanted at least {LEAST_MB}")
    if wanted.exec_timeout is not None and duration_s(wanted.exec_timeout) < LEAST_TIMEOUT_S:
        raise UsageError(
            f"--exec-timeout {wanted.exec_timeout}: wanted {LEAST_TIMEOUT_S}s or more, as a hand-over takes seconds"
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9._:/-]{0,200}", wanted.image_prefix or "", re.ASCII):
        raise UsageError(
            f"--image-prefix {wanted.image_prefix or ''}: wanted the place that images are pushed to and pulled from, "
            "like ghcr.io/you (or the environment's REGISTRY)"
        )
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", wanted.tag or "", re.ASCII):
        raise UsageError(f"--tag {wanted.tag!r:.80}: wanted letters, digits, '_', '.' and '-'")
    if wanted.namespace is not None:
        split_name(f"{TRAIN}.{wanted.namespace}")


def _fill_times(values: dict[str, str], wanted: Wanted) -> None:
    if wanted.exec_timeout:
        longer = f"{math.ceil(duration_s(wanted.exec_timeout)) + SPARE_S}s"
        values.update(exec_timeout=wanted.exec_timeout, read_timeout=longer, write_timeout=longer)
    if wanted.invocation:
        values["invocation"] = wanted.invocation


def _fill_choices(environment: dict[str, str], wanted: Wanted) -> None:
    """What emnist-setup trains; read as it will read it."""
    environment["workers"] = str(wanted.workers)
    environment.update({name: str(value) for name in CHOICES if (value := getattr(wanted, name)) is not None})
    if wanted.data is not None:
        environment["data"] = DATA
    of_run = {name: value for name, value in environment.items() if name in Job.__dataclass_fields__}
    chosen, _ = job.read(of_run, Job, CallPace)
    if Job(**chosen).dataset is not None:
        catalog.entry(chosen["dataset"])


def _for_faasd(stack: dict[str, Any], wanted: Wanted) -> None:
    """faasd runs one container a function and scales nothing: worker-1 to worker-N instead of replicas."""
    functions = stack["functions"]
    train, setup = functions.pop(TRAIN), functions[SETUP]
    for function in (train, setup):
        function["environment"].update(gateway_url=FAASD_GATEWAY, train_function="worker-{worker}")
    if wanted.store is None:
        setup["environment"]["store"] = FAASD_STORE
    for worker in range(1, wanted.workers + 1):
        functions[f"worker-{worker}"] = copy.deepcopy(train)


def _into_namespace(stack: dict[str, Any], wanted: Wanted) -> None:
    """Functions, and the memcached beside them, in a namespace of their own: they are called by both names."""
    for function in stack["functions"].values():
        function["namespace"] = wanted.namespace
        environment = function["environment"]
        environment["train_function"] = f"{environment['train_function'].partition('.')[0]}.{wanted.namespace}"
    if wanted.store is None:
        setup = stack["functions"][SETUP]["environment"]
        setup["store"] = setup["store"].replace(f".{NAMESPACE}:", f".{wanted.namespace}:")


def dataset(stack: dict[str, Any]) -> str:
    """The name of the dataset that emnist-setup trains on."""
    chosen = stack["functions"][SETUP]["environment"]
    return str(chosen.get("dataset") or cases.CASES[chosen["case"]].dataset)


# ---- checking it


def handlers(stack: dict[str, Any]) -> list[PurePath]:
    """The folders of the functions, as seen from stack.yaml: each once."""
    return sorted({PurePath(function["handler"]) for function in stack["functions"].values()})


def check(stack: dict[str, Any], folder: Path) -> None:
    """Raise RunError for what our schema does not know, and for what does not fit together, or with `folder`."""
    _check_form(stack, folder / "stack.yaml")
    for problem in _problems(stack, folder):
        raise RunError(f"{folder}/stack.yaml: {problem}")


def _check_form(stack: dict[str, Any], path: Path) -> None:
    """Raise RunError for what our schema does not know."""
    import jsonschema

    schema = json.loads((sources.folder("faas") / "stack.schema.json").read_text(encoding="utf-8"))
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(stack), key=lambda e: list(map(str, e.path)))
    if errors:
        where = ".".join(map(str, errors[0].path)) or "the top"
        raise RunError(f"{path}, at {where}: {words(errors[0].message)}")


def _problems(stack: dict[str, Any], folder: Path) -> Iterator[str]:
    names = {_called(name, function) for name, function in stack["functions"].items()}
    for name, function in stack["functions"].items():
        values = function["environment"]
        for other in ("read_timeout", "write_timeout"):
            if duration_s(values[other]) <= duration_s(values["exec_timeout"]):
                yield (
                    f"{name} has {other} {values[other]} and exec_timeout {values['exec_timeout']}; wanted it longer, "
                    "else the watchdog cannot answer"
                )
        if values["train_function"].replace("{worker}", "1") not in names:
            yield f"{name} has train_function {values['train_function']}; there are {', '.join(sorted(names))}"
        handler = PurePath(function["handler"])
        if handler.is_absolute() or ".." in handler.parts or handler.parts[:1] in ((), (MANIFESTS,)):
            yield f"{name} has handler {function['handler']}; wanted a folder in that of stack.yaml, like ./{name}"
        elif not (folder / handler / "handler.py").is_file():
            yield f"{name} has handler {function['handler']}, where is no handler.py"
    folders = handlers(stack)
    for inner, outer in ((inner, outer) for inner in folders for outer in folders if outer in inner.parents):
        yield f"the handler ./{inner} is in the folder of another, ./{outer}; wanted them side by side"
    for path in stack["configuration"].get("copy", ()):
        if not (folder / path).exists():
            yield f"configuration.copy has {path!r}, which is not in {folder}"


def _called(name: str, function: dict[str, Any]) -> str:
    """The name by which a gateway calls it."""
    return f"{name}.{function['namespace']}" if function.get("namespace") else name


def describe(stack: dict[str, Any], manifests: list[dict[str, Any]]) -> str:
    """What will be there, for people."""
    lines = []
    for name, function in stack["functions"].items():
        replicas, limits = function["labels"].get("com.openfaas.scale.min", "1"), function["limits"]
        room = function["environment"]["max_inflight"]
        lines.append(f"{name:<14} {replicas} x {limits['cpu']} cpu, {limits['memory']}, {room} calls each")
    lines += [f"{d['metadata']['name']:<14} {d['kind']}" for d in manifests]
    lines.append("nobody sends a bill for this: it takes what it says of your own cluster")
    return "\n".join(lines)
