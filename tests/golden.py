"""Small real runs and the SHA-256 of what they come to, in a process with arithmetic that many machines share.

`python -m tests.golden` prints them as JSON; `python -m tests.golden record` adds them to `golden.json`, under
the fingerprint of this machine's arithmetic. Record only weights that are meant to be new.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("golden.json")
ARITHMETIC = {  # of any x86-64 processor since 2013, whatever else this one has
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_SKX AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_CLX AVX512_CNL "
    "AVX512_ICL AVX512_SPR",
}

# The bundled images, few and, for case b and emnist, in the shapes that those expect.
CASES = """
from dataclasses import replace
import numpy as np
from nnlite import cases, data, nn
from nnlite.nn import models

sample = data.load("fashion-sample", download=False)

def few(name, num_classes, change):
    def part(split, count):
        y = (split.y[:count] + 10 * (np.arange(count) % 5)) % num_classes
        return data.Split(change(split.x[:count]), y.astype(np.uint8))
    return lambda: data.Dataset(name, part(sample.train, 150), part(sample.test, 50), num_classes, (), (0.5,), (0.25,))

def framed(x):
    return np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))).repeat(3, axis=1)

def resnet(shape, num_classes):
    return models.resnet(shape, num_classes, depth=8, width=8, groups=4)

DATASETS = {"b": few("framed", 10, framed), "emnist": few("letters", 47, lambda x: x)}
DATASETS["resnet"] = DATASETS["b"]
adam = nn.Adam(nn.Warmup(nn.Cosine(0.01, 12), 2), weight_decay=0.01, clip_norm=1.0)
ALL = {**cases.CASES, "resnet": replace(cases.CASES["b"], network=resnet, optimizer=adam)}
case = replace(ALL[NAME], dataset=DATASETS[NAME])
"""

DOWNPOUR = ("--protocol", "downpour", "--push-every", "3", "--pull-every", "3")
RUNS = {
    "a, averaging, 1 worker": ("a", "--steps-per-round", "20", "--rounds", "2"),
    "a, averaging, 2 workers": ("a", "--steps-per-round", "20", "--rounds", "2", "--workers", "2", "--scale", "none"),
    "a, downpour, 1 worker": ("a", "--steps-per-round", "20", "--rounds", "2", *DOWNPOUR),
    "b, averaging, 1 worker": ("b", "--batch-size", "25", "--rounds", "1"),
    "b, averaging, 2 workers": ("b", "--batch-size", "20", "--rounds", "1", "--workers", "2", "--scale", "none"),
    "b, averaging, 1 worker, 2 threads": ("b", "--batch-size", "40", "--rounds", "1", "--threads", "2"),
    "b, averaging, 1 worker, augmented": ("b", "--batch-size", "50", "--rounds", "1", "--augment", "flip,crop:4"),
    "b, downpour, 1 worker": ("b", "--batch-size", "50", "--rounds", "2", *DOWNPOUR),
    "c, averaging, 1 worker": ("c", "--steps-per-round", "20", "--rounds", "2"),
    "c, averaging, 2 workers": ("c", "--steps-per-round", "20", "--rounds", "2", "--workers", "2", "--scale", "none"),
    "c, downpour, 1 worker": ("c", "--steps-per-round", "20", "--rounds", "2", *DOWNPOUR),
    "c, cosine": ("c", "--steps-per-round", "20", "--rounds", "2", "--schedule", "cosine"),
    **{
        f"c, {name}": ("c", "--steps-per-round", "20", "--rounds", "1", "--optimizer", name)
        for name in ("sgd", "nesterov", "rmsprop", "adam")
    },
    "emnist, averaging, 1 worker": ("emnist", "--rounds", "3"),
    "emnist, averaging, 2 workers": ("emnist", "--rounds", "3", "--workers", "2", "--scale", "none"),
    "resnet, averaging, 2 workers": ("resnet", "--batch-size", "25", "--rounds", "2", "--workers", "2"),
    "resnet, downpour, 1 worker": ("resnet", "--batch-size", "25", "--rounds", "2", *DOWNPOUR),
    "emnist, downpour, 1 worker": ("emnist", "--rounds", "3", *DOWNPOUR),
}
SEARCH = ("c", "--trials", "3", "--rounds", "3", "--validation", "0.5", "--parallel", "1")


def results() -> dict[str, str]:
    """What each run comes to, and a "fingerprint" of the arithmetic that it depends on: in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden", "here"], cwd=REPOSITORY, env={**os.environ, **ARITHMETIC},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


def fingerprint() -> str:
    """A hash of what NumPy, BLAS and the C library compute here in the ways that a network and its data need."""
    import numpy as np

    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(40_000).astype(np.float32)
    found = [numbers, *(f(numbers) for f in (np.exp, np.tanh)), np.log(np.abs(numbers)), np.sqrt(np.abs(numbers))]
    for m, k, n in [(10, 64, 100), (64, 784, 100), (784, 100, 64), (100, 100, 1), (192, 384, 50), (100, 1600, 64)]:
        a, b = np.resize(numbers, (m, k)), np.resize(numbers[7:], (k, n))
        found += [a @ b, a @ np.ascontiguousarray(b.T).T, np.ascontiguousarray(a.T).T @ b, b.T @ a[0], b.sum(axis=0)]
    found += [np.resize(numbers, (64, 32, 64)) @ np.resize(numbers, (64, 64, 64)), rng.random(100, np.float32)]
    found += [rng.permutation(100), rng.integers(0, 9, 100), np.float32(np.vdot(numbers, numbers))]
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in found)).hexdigest()


def _results_here() -> Iterator[tuple[str, str]]:
    yield "fingerprint", fingerprint()
    for name in ("b", "emnist", "resnet"):
        Path(f"{name}.py").write_text(f"NAME = {name!r}\n{CASES}")
    for number, (name, (case, *options)) in enumerate(RUNS.items()):
        _command("train", *_case(case), *options, "--run", f"r{number}", "--out", f"{number}.safetensors")
        yield name, _digest(f"{number}.safetensors")
    _command("tune", *_case(SEARCH[0]), *SEARCH[1:], "--search", "s", "--out", "best")
    yield "best trial of a search", _digest("best.safetensors")


def _case(name: str) -> tuple[str, ...]:
    if name == "c":
        return ("--case", "c", "--dataset", "fashion-sample")
    return ("--case", name if name == "a" else f"{name}.py")


def _command(*words: str) -> None:
    """`python -m nnlite ...`, in this process: what each would take to start is more than it has to do."""
    from nnlite.__main__ import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([*words, "--processes", "0", "--seed", "7"])
    if code:
        raise RuntimeError(f"{' '.join(words)}: exit code {code}\n{said.getvalue()}")


def _digest(path: str) -> str:
    """Of the names, shapes and bytes of a file's weights, not of what else it tells."""
    import nnlite

    model = nnlite.load(path)
    named = json.dumps(dict(model.network.layout))
    return hashlib.sha256(named.encode() + model.weights.tobytes()).hexdigest()


def main(how: str | None) -> None:
    """Print or record the results."""
    if how == "here":
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            print(json.dumps(dict(_results_here())))
            os.chdir(REPOSITORY)
        return
    found = results()
    print(json.dumps(found, indent=1))
    if how == "record":
        table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        table[found.pop("fingerprint")] = found
        TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:2] or [None])
