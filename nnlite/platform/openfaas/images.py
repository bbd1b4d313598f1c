"""Images: the folder that faas-cli builds them from, and kubectl applies manifests of; put together here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

from nnlite import output
from nnlite.data import catalog
from nnlite.errors import RunError, UsageError, shown, words
from nnlite.invoker import sources
from nnlite.platform.openfaas import stack_file

STACK = "stack.yaml"
MARK = "# made by tools.deploy; what is changed here is lost\n"
SAMPLES = "samples"  # of nnlite.data: for emnist-setup, which cuts data into shards
NEVER = ("__pycache__", "api", "commands", "functions", "__main__.py")  # of nnlite, in any image


def manifests(folder: Path, namespace: str | None) -> dict[str, str]:
    """The texts of k8s/ by name, in that namespace. Raises RunError for what Kubernetes would not take."""
    found = {}
    for path in sorted((folder / stack_file.MANIFESTS).glob("*.yaml")):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise RunError(f"{path} is no text in UTF-8: write it so, or take it away") from None
        if namespace is not None:
            text = text.replace(f"namespace: {stack_file.NAMESPACE}\n", f"namespace: {namespace}\n")
        found[path.name] = text
    return found


def documents(texts: dict[str, str], tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """All documents of manifests. Raises RunError for one that Kubernetes would not take."""
    try:
        import kubernetes_validate
    except ImportError:
        kubernetes_validate = None
        tell("manifests are not checked: pip install kubernetes-validate")
    found = []
    for name, text in texts.items():
        for document in _objects(name, text):
            found.append(document)
            if kubernetes_validate is None:
                continue
            try:
                kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(map(str, error.path)) or "the top"
                raise RunError(f"{name}, {document['kind']}, at {where}: {words(error.message)}") from None
            except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.utils.VersionNotSupportedError):
                which = words(f"{document['kind']} of {document['apiVersion']}")
                raise RunError(
                    f"{name}: Kubernetes itself knows no {which}: mend it, or apply what is a custom resource apart"
                ) from None
    return found


def _objects(name: str, text: str) -> Iterator[dict[str, Any]]:
    """The objects in the text of a manifest, each with its kind and its name. Raises RunError."""
    import yaml

    try:
        found = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that there is not
        raise RunError(f"{name} is no YAML: {words(error)}") from None
    for one in found:
        if one is None:
            continue  # nothing between two lines of ---
        if not isinstance(one, dict):
            raise RunError(f"{name}: wanted an object of Kubernetes, found {shown(one)}")
        about = one.get("metadata")
        texts = (one.get("apiVersion"), one.get("kind"), about.get("name") if isinstance(about, dict) else None)
        if not all(isinstance(text, str) for text in texts):
            raise RunError(f"{name}: wanted an object of Kubernetes with apiVersion, kind and metadata.name as texts")
        yield one


def data_files(dataset: str, folder: Path) -> list[Path]:
    """The files of a dataset in a folder of datasets. Raises UsageError for one without files; DataNotFound."""
    known, found = catalog.entry(dataset), catalog.find(dataset, data_dir=folder)
    if found is None or not known.resources:
        raise UsageError(f"--data {folder}: {dataset} has no files of its own: leave it out")
    if found.is_file():
        return [found]
    split = f"-{dataset.removeprefix('emnist-')}-" if known.kind == "emnist" else ""
    return [path for path in sorted(found.iterdir()) if path.is_file() and split in path.name]


def assemble(into: Path, source: Path, stack: dict[str, Any], texts: dict[str, str], data: list[Path]) -> None:
    """Write the stack, the manifests, and for each function its handler with nnlite beside it.

    What was made there before is made anew; what faas-cli keeps there stays. Raises UsageError as `check`, with nothing
    written or deleted.
    """
    check(into, source, stack, data)
    try:
        into.mkdir(parents=True, exist_ok=True)
        output.write(into / STACK, [(MARK + stack_file.dump(stack)).encode()])
        for name, text in texts.items():
            (into / stack_file.MANIFESTS).mkdir(exist_ok=True)
            output.write(into / stack_file.MANIFESTS / name, [text.encode()])
        for handler in stack_file.handlers(stack):
            _assemble_one(into / handler, source / handler, data if handler == Path(stack_file.SETUP) else None)
    except OSError as error:
        raise UsageError(f"--build-dir {into}: {error.strerror or error}") from None


def _assemble_one(into: Path, handler: Path, data: list[Path] | None) -> None:
    """data: the dataset's files for the function that cuts them into shards; None for all others."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(handler, into, ignore=shutil.ignore_patterns("__pycache__", "nnlite", "data"))
    never = NEVER if data is not None else (*NEVER, SAMPLES)
    shutil.copytree(sources.NNLITE, into / "nnlite", ignore=shutil.ignore_patterns(*never), dirs_exist_ok=True)
    for path in data or ():
        (into / "data").mkdir(exist_ok=True)
        shutil.copyfile(path, into / "data" / path.name)


def check(into: Path, source: Path, stack: dict[str, Any], given: Iterable[Path]) -> None:
    """Raise UsageError for a folder that is neither new, nor empty, nor one of ours; and where what is made in it would
    overwrite what it is made of: what the stack in `source` names, or one of `given`."""
    try:
        is_ours = next(_entries(into), None) is None or (into / STACK).read_text(encoding="utf-8").startswith(MARK)
    except (OSError, UnicodeDecodeError):
        is_ours = False
    if not is_ours:
        raise UsageError(
            f"--build-dir {into}: there is something else than what tools.deploy made; name another folder"
        )
    parts = [PurePath(STACK), PurePath(stack_file.MANIFESTS), *stack_file.handlers(stack)]
    for made in (_real(into) / part for part in parts):
        if _real(made) != made:
            raise UsageError(f"--build-dir {into}: {made} leads to {_real(made)}; name another folder")
        for path in (*(source / part for part in parts), *given):
            if _real(path).is_relative_to(made) or made.is_relative_to(_real(path)):
                raise UsageError(f"--build-dir {into}: making {made} would overwrite {path}; name another folder")


def _real(path: Path) -> Path:
    """Without links."""
    return Path(os.path.realpath(path))


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.exists() else iter(())
