"""What is deployed: the stack and its schema, the manifests, the images' contents, and tools.deploy."""

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from nnlite.commands import _deploy_openfaas as deploy
from nnlite.commands.deploy import _parser
from nnlite.errors import RunError
from nnlite.platform.openfaas.function import Settings, duration_s
from nnlite.runtime.openfaas import CHOICES
from tests.platform.openfaas.gateway import ROOT, pack
from tests.test_architecture import imports_of

FAAS = ROOT / "faas"
STACK = yaml.safe_load((FAAS / "stack.yaml").read_text())


def test_the_stack_is_sound():
    deploy.check_stack(STACK, FAAS)


MISSPELLED = [
    (("functions", "emnist-train", "enviroment"), {}),
    (("functions", "emnist-train", "read_only_root_filesystem"), True),
    (("functions", "emnist-train", "environment", "exec_timout"), "5m"),
    (("functions", "emnist-train", "limits", "mem"), "1Gi"),
    (("functions", "emnist-setup", "environment", "batchsize"), "64"),
    (("functions", "emnist-setup", "secret"), ["nnlite-hmac"]),
    (("configuration", "copies"), ["nnlite"]),
    (("provider", "gatway"), "http://127.0.0.1:8080"),
    (("function",), {}),
    (("functions", "emnist-train", "environment", "max_inflight"), 4),
    (("functions", "emnist-train", "environment", "exec_timeout"), "5 minutes"),
    (("functions", "emnist-train", "environment", "write_timeout"), "5m"),
    (("functions", "emnist-train", "readonly_root_filesystem"), False),
    (("functions", "emnist-train", "handler"), "./emnist-trian"),
    (("configuration", "copy"), ["data"]),
]


@pytest.mark.parametrize(("path", "value"), MISSPELLED, ids=lambda v: ".".join(v) if isinstance(v, tuple) else "")
def test_what_faas_cli_would_take_silently_is_found(path, value):
    stack = copy.deepcopy(STACK)
    place = stack
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(RunError, match=r"stack\.yaml"):
        deploy.check_stack(stack, FAAS)


def test_the_schema_is_one():
    import json

    jsonschema.Draft202012Validator.check_schema(json.loads((FAAS / "stack.schema.json").read_text()))


def test_every_setting_of_a_stack_is_read_by_somebody():
    """By our settings, by a standard run, by the template's watchdog, or by a library."""
    others = {
        "store", "require_signature", "read_timeout", "write_timeout", "healthcheck_interval", "max_inflight",
        "exec_timeout", "OPENBLAS_NUM_THREADS", "XDG_CACHE_HOME",
    }  # fmt: skip
    known = others | CHOICES | set(Settings.__dataclass_fields__)
    for function in STACK["functions"].values():
        assert set(function["environment"]) <= known
        settings = Settings.of(function["environment"])
        assert settings.exec_timeout_s == duration_s(function["environment"]["exec_timeout"])
        assert settings.secret_name in function["secrets"]


def test_manifests_are_what_kubernetes_takes():
    documents = deploy.check_manifests(FAAS)
    assert sorted(d["kind"] for d in documents) == ["DaemonSet", "Deployment", "NetworkPolicy", "Service", "Service"]
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        if "template" in document["spec"]:
            (container,) = document["spec"]["template"]["spec"]["containers"]
            assert container["resources"].keys() == {"requests", "limits"}
            assert {"readinessProbe", "livenessProbe"} <= container.keys()
    (policy,) = [d for d in documents if d["kind"] == "NetworkPolicy"]
    guarded = policy["spec"]["podSelector"]["matchExpressions"][0]["values"]
    assert guarded == [d["spec"]["selector"]["app"] for d in documents if d["kind"] == "Service"][::-1]
    allowed = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    assert set(allowed) == set(STACK["functions"])


def test_images_of_others_are_pinned_by_version():
    """And Python's, as far as the template lets us say it."""
    texts = [path.read_text() for path in (*FAAS.glob("k8s/*.yaml"), *FAAS.glob("faasd/*.yaml"))]
    images = [image for text in texts for image in re.findall(r"image: (\S+)", text)]
    assert len(images) == 3
    assert all(re.fullmatch(r"(docker\.io/library/)?memcached:\d+\.\d+\.\d+-alpine(@sha256:\w+)?", i) for i in images)
    for function in STACK["functions"].values():
        assert re.fullmatch(r"3\.\d+\.\d+", function["build_args"]["PYTHON_VERSION"])
    pinned = copy.deepcopy(STACK)
    pinned["functions"]["emnist-train"]["lang"] = "python3-http-debian@sha-0123abc"
    deploy.check_stack(pinned, FAAS)


def test_a_broken_manifest_is_found(tmp_path):
    (tmp_path / "k8s").mkdir()
    text = (FAAS / "k8s" / "memcached.yaml").read_text().replace("readinessProbe", "readynessProbe")
    (tmp_path / "k8s" / "memcached.yaml").write_text(text)
    with pytest.raises(RunError, match=r"memcached\.yaml, Deployment"):
        deploy.check_manifests(tmp_path)


@pytest.mark.parametrize("name", ["emnist-setup", "emnist-train"])
def test_an_image_has_all_that_its_handler_needs(name, tmp_path):
    """Packed as the template does, imported as the template does, and nnlite comes from there alone."""
    build = pack(name, tmp_path, tuple(STACK["configuration"]["copy"]))
    code = "from function import handler; import nnlite; print(nnlite.__file__); handler.handle"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=build, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == build / "function" / "nnlite" / "__init__.py"
    lines = (build / "function" / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in lines} >= {"numpy", "pymemcache", "urllib3"}


@pytest.mark.parametrize("name", ["emnist-setup", "emnist-train"])
def test_handlers_are_adapters(name):
    path = FAAS / name / "handler.py"
    assert len(path.read_text().splitlines()) < 60
    for one in imports_of(path, "handler"):
        assert one.target.partition(".")[0] in {"nnlite"} | sys.stdlib_module_names, one


# ---- tools.deploy


OPENFAAS = ("--platform", "openfaas")


def deployed(*argv):
    args = _parser(OPENFAAS).parse_args([*OPENFAAS, "--folder", str(FAAS), *argv])
    return deploy.filled(copy.deepcopy(STACK), args), args


def test_choices_are_filled_in():
    stack, _ = deployed("--workers", "6", "--exec-timeout", "90s", "--protocol", "downpour", "--image-prefix", "r/x/")
    deploy.check_stack(stack, FAAS)
    train, setup = stack["functions"]["emnist-train"], stack["functions"]["emnist-setup"]
    assert train["image"] == "r/x/emnist-train:latest"
    room = int(train["environment"]["max_inflight"]) * int(train["labels"]["com.openfaas.scale.min"])
    assert room >= 6
    assert train["environment"]["exec_timeout"] == setup["environment"]["exec_timeout"] == "90s"
    assert (setup["environment"]["workers"], setup["environment"]["protocol"]) == ("6", "downpour")
    assert yaml.safe_load(deploy.dump(stack)) == stack


def test_faasd_has_a_function_a_worker():
    stack, _ = deployed("--faasd", "--workers", "2")
    deploy.check_stack(stack, FAAS)
    assert sorted(stack["functions"]) == ["emnist-setup", "worker-1", "worker-2"]
    for function in stack["functions"].values():
        assert function["environment"]["train_function"] == "worker-{worker}"
        assert function["environment"]["gateway_url"] == "http://10.62.0.1:8080"


def test_commands_are_run_in_order_where_they_are_installed(tmp_path, monkeypatch):
    """With programs of that name that only write down what they were asked."""
    programs, folder = tmp_path / "bin", tmp_path / "faas"
    programs.mkdir()
    for name in ("faas-cli", "kubectl"):
        script = f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/log\n[ "$2" != create ]\n'
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    shutil.copytree(FAAS, folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "nnlite").unlink()
    (folder / "nnlite").symlink_to(ROOT / "nnlite")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    secret = tmp_path / "new secret"
    args = _parser(OPENFAAS).parse_args([*OPENFAAS, "--folder", str(folder), "--yes", "--secret-file", str(secret)])
    assert deploy.main(args) == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    said = [shlex.split(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line[1:3] for line in said] == [
        ["apply", "-f"], ["secret", "create"], ["secret", "update"], ["build", "-f"], ["push", "-f"], ["deploy", "-f"],
    ]  # fmt: skip
    (programs / "faas-cli").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(RunError, match=r"faas-cli secret update .* ended with code 3"):
        deploy.main(args)
