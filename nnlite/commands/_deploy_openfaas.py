"""`tools.deploy --platform openfaas`: checks stack and manifests, fills in what was chosen, runs faas-cli."""

from __future__ import annotations

import argparse
import copy
import json
import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from nnlite import output
from nnlite.commands._spelling import command
from nnlite.errors import RunError, UsageError
from nnlite.platform.openfaas.credentials import SECRET_FILE
from nnlite.platform.openfaas.function import duration_s

TRAIN, SETUP = "emnist-train", "emnist-setup"
FILLED = "stack.deploy.yaml"
FAASD_GATEWAY, FAASD_STORE = "http://10.62.0.1:8080", "memcached://10.62.0.1:11211/nnlite"
MAX_REPLICAS = 5  # of the community edition
SPARE_S = 10  # a watchdog's timeouts are so much longer than exec_timeout
CHOICES = ("case", "dataset", "batch_size", "rounds", "protocol", "store")  # into emnist-setup's environment


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this platform."""
    group = parser.add_argument_group("with --platform openfaas")
    group.add_argument("--folder", default="faas", help="with stack.yaml and k8s/ (default %(default)s)")
    group.add_argument("--faasd", action="store_true", help="one function a worker, worker-1 to worker-N, and no k8s/")
    group.add_argument("--workers", type=int, default=3, metavar="W", help="room for so many (default %(default)s)")
    group.add_argument("--replicas", type=int, metavar="R", help=f"default: a worker each, at most {MAX_REPLICAS}")
    group.add_argument("--memory-mb", type=int, metavar="MB", help="of a worker's function (default 1024)")
    group.add_argument("--exec-timeout", metavar="5m", help="how long one invocation may run")
    group.add_argument("--invocation", choices=["sync", "async"], help="how invocations start others")
    group.add_argument("--image-prefix", metavar="HOST/NAME", help="where images are pushed, like ghcr.io/you")
    group.add_argument("--tag", default="latest", help="of the images (default %(default)s)")
    group.add_argument("--gateway", metavar="URL", help="of faas-cli (default: as in stack.yaml, or OPENFAAS_URL)")
    group.add_argument("--secret-file", metavar="FILE", help=f"made if it is not there (or {SECRET_FILE})")
    for name in CHOICES:
        group.add_argument(f"--{name.replace('_', '-')}", help="of runs that emnist-setup begins")


def main(args: argparse.Namespace) -> int:
    """Check, fill in, and deploy; or, without faas-cli or with --dry-run, print the commands."""
    folder = Path(args.folder)
    stack = filled(load(folder / "stack.yaml"), args)
    check_stack(stack, folder)
    manifests = [] if args.faasd else check_manifests(folder)
    told = describe(stack, manifests)
    print(told, file=sys.stderr)
    lines = commands(args, folder, stack)
    if args.dry_run:
        print("\n".join(shlex.join(line) for line in lines))
        return 0
    output.write(folder / FILLED, [dump(stack).encode()])
    missing = [name for name in ("faas-cli", *([] if args.faasd else ["kubectl"])) if not shutil.which(name)]
    if missing:
        print(f"{' and '.join(missing)} not installed here: these are the commands, in {folder}", file=sys.stderr)
        print("\n".join(shlex.join(line) for line in lines))
        return 0
    if not args.yes and input("deploy? [y/N] ").strip().lower() not in ("y", "yes"):
        print("nothing was deployed", file=sys.stderr)
        return 0
    make_secret(Path(args.secret_file)) if args.secret_file else None
    for line in lines:
        execute(line, folder)
    return 0


# ---- the stack


def filled(stack: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """stack.yaml with what the command line says. Raises UsageError for what cannot be meant."""
    if args.workers < 1 or (args.replicas is not None and args.replicas < 1):
        raise UsageError(f"--workers {args.workers}, --replicas {args.replicas}: wanted at least 1")
    stack = copy.deepcopy(stack)
    try:
        train, setup = stack["functions"][TRAIN], stack["functions"][SETUP]
        environment, choices = train["environment"], setup["environment"]
    except (KeyError, TypeError):
        raise RunError(
            f"{args.folder}/stack.yaml: wanted the functions {TRAIN} and {SETUP}, with environments"
        ) from None
    replicas = 1 if args.faasd else args.replicas or min(args.workers, MAX_REPLICAS)
    environment["max_inflight"] = str(1 if args.faasd else math.ceil(args.workers / replicas))
    train["labels"].update({"com.openfaas.scale.min": str(replicas), "com.openfaas.scale.max": str(replicas)})
    choices["workers"] = str(args.workers)
    if args.memory_mb:
        train["limits"]["memory"] = train["requests"]["memory"] = f"{args.memory_mb}Mi"
    for values in (environment, choices):
        _fill_times(values, args)
    choices.update({name: str(getattr(args, name)) for name in CHOICES if getattr(args, name) is not None})
    for name, function in stack["functions"].items():
        if args.image_prefix:
            function["image"] = f"{args.image_prefix.rstrip('/')}/{name}:{args.tag}"
    return _for_faasd(stack, args) if args.faasd else stack


def _fill_times(values: dict[str, str], args: argparse.Namespace) -> None:
    if args.exec_timeout:
        longer = f"{math.ceil(duration_s(args.exec_timeout)) + SPARE_S}s"
        values.update(exec_timeout=args.exec_timeout, read_timeout=longer, write_timeout=longer)
    if args.invocation:
        values["invocation"] = args.invocation
        if args.invocation == "async" and "store" in values:
            values["wait_s"] = "0.2"  # a queue may run one call at a time


def _for_faasd(stack: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """faasd runs one container a function and scales nothing: worker-1 to worker-N instead of replicas."""
    functions = stack["functions"]
    train, setup = functions.pop(TRAIN), functions[SETUP]
    for function in (train, setup):
        function["environment"].update(gateway_url=FAASD_GATEWAY, train_function="worker-{worker}")
    if args.store is None:
        setup["environment"]["store"] = FAASD_STORE
    for worker in range(1, args.workers + 1):
        functions[f"worker-{worker}"] = copy.deepcopy(train)
    return stack


def check_stack(stack: dict[str, Any], folder: Path) -> None:
    """Raise RunError for what the schema does not know, and for times that do not fit together."""
    import jsonschema

    schema = json.loads((folder / "stack.schema.json").read_text())
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(stack), key=lambda e: list(map(str, e.path)))
    if errors:
        where = ".".join(map(str, errors[0].path)) or "the top"
        raise RunError(f"{folder}/stack.yaml, at {where}: {errors[0].message}")
    for name, function in stack["functions"].items():
        values = function["environment"]
        for other in ("read_timeout", "write_timeout"):
            if duration_s(values[other]) <= duration_s(values["exec_timeout"]):
                raise RunError(
                    f"{folder}/stack.yaml: {name} has {other} {values[other]} and exec_timeout "
                    f"{values['exec_timeout']}; wanted it longer, else the watchdog cannot answer"
                )
        if not (folder / function["handler"] / "handler.py").is_file():
            raise RunError(f"{folder}/stack.yaml: {name} has handler {function['handler']}, where is no handler.py")
    for path in stack["configuration"]["copy"]:
        if not (folder / path).exists():
            raise RunError(f"{folder}/stack.yaml: configuration.copy has {path!r}, which is not in {folder}")


def check_manifests(folder: Path) -> list[dict[str, Any]]:
    """All documents in k8s/. Raises RunError for one that Kubernetes would not take."""
    import yaml

    try:
        import kubernetes_validate
    except ImportError:
        kubernetes_validate = None
        print("manifests are not checked: pip install kubernetes-validate", file=sys.stderr)
    documents = []
    for path in sorted((folder / "k8s").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            documents.append(document)
            try:
                if kubernetes_validate is not None:
                    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(map(str, error.path)) or "the top"
                raise RunError(f"{path}, {document.get('kind')}, at {where}: {error.message}") from None
    return documents


# ---- doing it


def commands(args: argparse.Namespace, folder: Path, stack: dict[str, Any]) -> list[list[str]]:
    """What is run in `folder`, in order."""
    gateway = ["--gateway", args.gateway] if args.gateway else []
    secret = str(Path(args.secret_file).resolve()) if args.secret_file else "SECRET_FILE"
    lines = [] if args.faasd else [["kubectl", "apply", "-f", "k8s/"]]
    lines.append(["faas-cli", "secret", "create", "nnlite-hmac", "--from-file", secret, *gateway])
    for verb in ("build", "push", "deploy"):
        lines.append(["faas-cli", verb, "-f", FILLED, *(gateway if verb == "deploy" else [])])
    return lines


def execute(line: list[str], folder: Path) -> None:
    """Run one command. Raises RunError when it fails."""
    print(f"$ {shlex.join(line)}", file=sys.stderr)
    done = subprocess.run(line, cwd=folder, check=False)
    if done.returncode and line[1:3] == ["secret", "create"]:  # there is one already
        return execute([*line[:2], "update", *line[3:]], folder)
    if done.returncode:
        raise RunError(f"`{shlex.join(line)}` ended with code {done.returncode}; nothing after it was run")


def make_secret(path: Path) -> None:
    """A fresh secret, unless there is one."""
    import secrets

    if not path.exists():
        output.write(path, [secrets.token_hex(32).encode() + b"\n"], mode=0o600)
        print(f"made a secret: {path}; keep it, `{command('train')} --secret-file {path}` needs it", file=sys.stderr)


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


def load(path: Path) -> dict[str, Any]:
    """A YAML file. Raises UsageError when it is not there, or none."""
    try:
        import yaml
    except ImportError:
        raise UsageError(
            "deploying to OpenFaaS reads YAML: pip install pyyaml jsonschema kubernetes-validate"
        ) from None
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; --folder says where stack.yaml is") from None
    except yaml.YAMLError as error:
        raise RunError(f"{path} is no YAML: {error}") from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: wanted a stack, found {type(found).__name__}")
    return found


def dump(stack: dict[str, Any]) -> str:
    """YAML that faas-cli reads."""
    import yaml

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return f"# made by tools.deploy from stack.yaml\n{yaml.dump(stack, Dumper=Plain, sort_keys=False)}"
