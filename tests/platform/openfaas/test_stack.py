"""What is deployed: the stack and its schema, the manifests, and the images' contents."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from nnlite.errors import RunError
from nnlite.invoker.openfaas.function import Settings, duration_s
from nnlite.platform.openfaas import images, stack_file
from nnlite.platform.openfaas.unattended import CHOICES
from tests.platform.openfaas.gateway import ROOT, pack
from tests.test_architecture import imports_of

FAAS = ROOT / "faas"
STACK = yaml.safe_load((FAAS / "stack.yaml").read_text())


def test_the_stack_is_sound():
    stack_file.check(STACK, FAAS)


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
    (("functions", "emnist-train", "environment", "rounds"), "10"),
    (("functions", "emnist-train", "environment", "require_signature"), "false"),
    (("functions", "emnist-train", "environment", "train_function"), "emnist-trian"),
    (("functions", "emnist-setup", "environment", "train_function"), "worker-{worker}"),
    (("functions", "emnist-setup", "environment", "require_signature"), "no"),
    (("functions", "emnist-setup", "environment", "case"), "my_case.py"),
    (("functions", "emnist-train", "namespace"), "staging"),
]


@pytest.mark.parametrize(("path", "value"), MISSPELLED, ids=lambda v: ".".join(v) if isinstance(v, tuple) else "")
def test_what_faas_cli_would_take_silently_is_found(path, value):
    stack = copy.deepcopy(STACK)
    place = stack
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(RunError, match=r"stack\.yaml"):
        stack_file.check(stack, FAAS)


def test_the_schema_is_one():
    import json

    jsonschema.Draft202012Validator.check_schema(json.loads((FAAS / "stack.schema.json").read_text()))


def test_every_setting_of_a_stack_is_read_by_somebody():
    """By our settings, by a standard run, by the template's watchdog, or by a library."""
    others = {
        "read_timeout", "write_timeout", "healthcheck_interval", "max_inflight",
        "exec_timeout", "OPENBLAS_NUM_THREADS", "XDG_CACHE_HOME",
    }  # fmt: skip
    known = others | CHOICES | set(Settings.__dataclass_fields__)
    for function in STACK["functions"].values():
        assert set(function["environment"]) <= known
        settings = Settings.of(function["environment"])
        assert settings.exec_timeout_s == duration_s(function["environment"]["exec_timeout"])
        assert settings.secret_name in function["secrets"]


def test_manifests_are_what_kubernetes_takes():
    documents = images.documents(images.manifests(FAAS, None), print)
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
    stack_file.check(pinned, FAAS)


def test_a_broken_manifest_is_found():
    texts = {
        "memcached.yaml": (FAAS / "k8s" / "memcached.yaml").read_text().replace("readinessProbe", "readynessProbe")
    }
    with pytest.raises(RunError, match=r"memcached\.yaml, Deployment"):
        images.documents(texts, print)


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [", "is no YAML"),
        ("[" * 5000, "is no YAML"),
        ("since: 2024-99-99", "is no YAML"),
        ("a\x00b", "is no YAML"),
        ("- 1", r"wanted an object of Kubernetes, found \[1\]"),
        ("kind: Service", "with apiVersion, kind and metadata.name"),
        (SERVICE.replace("{name: x}", "[]"), "with apiVersion, kind and metadata.name"),
        (SERVICE.replace("Service", "7"), "with apiVersion, kind and metadata.name"),
        (SERVICE.replace("Service", "Servise"), "knows no Servise of v1"),
        (SERVICE.replace("v1", "a/b/c"), "knows no Service of a/b/c"),
    ],
)
def test_a_damaged_manifest_is_refused_in_a_line_that_names_it(text, said):
    with pytest.raises(RunError, match=rf"^x\.yaml\b.*{said}") as refused:
        images.documents({"x.yaml": text}, print)
    assert str(refused.value).isprintable()


def test_nothing_between_two_lines_of_a_manifest_is_nothing():
    assert images.documents({"x.yaml": f"---\n---\n{SERVICE}---\n"}, print) == list(yaml.safe_load_all(SERVICE))


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"\xff\xfe"), lambda path: path.mkdir()])
def test_a_manifest_that_cannot_be_read_is_named(make, tmp_path):
    (tmp_path / "k8s").mkdir()
    make(tmp_path / "k8s" / "x.yaml")
    with pytest.raises(RunError, match=r"x\.yaml"):
        images.manifests(tmp_path, None)


def test_another_namespace_has_all_of_it():
    documents = images.documents(images.manifests(FAAS, "staging"), print)
    assert {document["metadata"]["namespace"] for document in documents} == {"staging"}


@pytest.mark.parametrize("name", ["emnist-setup", "emnist-train"])
@pytest.mark.parametrize("by_hand", [True, False])
def test_an_image_has_all_that_its_handler_needs(name, by_hand, assembled, tmp_path):
    """Packed as the template does, imported as the template does, and nnlite comes from there alone."""
    build = pack(name, tmp_path, *((STACK["configuration"]["copy"], FAAS) if by_hand else ((), assembled)))
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
