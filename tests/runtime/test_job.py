"""Jobs: read strictly, from texts as from JSON; and the same choices are the same run, whoever makes them."""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlite
from nnlite.commands import platforms
from nnlite.commands import train as tool
from nnlite.data import Augment
from nnlite.errors import UsageError
from nnlite.platform.openfaas import unattended
from nnlite.platform.openfaas.unattended import CallPace
from nnlite.protocol import protocols
from nnlite.protocol.records.spec import OwnCode
from nnlite.protocol.search.protocol import Search
from nnlite.runs import job, plan
from nnlite.runs.job import Job
from tests import real_data
from tests.runtime import small

STACK_SCHEMA = Path(__file__).parents[2] / "faas" / "stack.schema.json"
# name -> values that a choice may have, as the command line spells them
VALUES: dict[str, tuple[str, ...]] = {
    "case": ("b", "c", "emnist"), "dataset": ("fashion-sample", "fashion-mnist"), "data": (".",),
    "augment": ("none", "flip", "crop:2", "flip,crop:4", "cutout:3,flip", "mixup:0.2"),
    "rounds": ("1", "7"), "epochs": ("1", "3"),
    "steps_per_round": ("5", "10", "1000"), "target_accuracy": ("0.5", "1"), "batch_size": ("1", "50", "128"),
    "optimizer": ("sgd", "momentum", "nesterov", "rmsprop", "adam"), "learning_rate": ("0.05", "1e-3"),
    "weight_decay": ("0", "0.01"), "clip_norm": ("1", "0.5"),
    "schedule": ("constant", "cosine"), "seed": ("0", "7", "4294967295"), "eval_every": ("1", "3"),
    "protocol": ("averaging", "downpour"), "push_every": ("1", "20"), "pull_every": ("1", "20"),
    "max_staleness": ("1", "4"), "staleness_aware": ("true", "false"), "wire": ("float32", "float16", "topk:1%"),
    "combine": ("mean", "sum"), "slow_momentum": ("0", "0.3"), "average_last": ("1", "4"), "ema": ("0.9",),
    "scale": ("auto", "none"),
    "quorum": ("1",), "max_attempts": ("1", "20"), "max_minutes": ("0.5", "60"), "trace": ("true", "false"),
    "threads": ("1", "2"), "workers": ("1", "3", "4"), "tree": ("1,2,4",), "run": ("a-run",),
    "store": ("memcached://127.0.0.1:11211/nnlite", "s3://bucket/nnlite?region=eu-west-1"),
    "checkpoint_every": ("1", "5"), "checkpoint_store": ("memcached://127.0.0.1:11212/copies",),
    "data_store": ("memcached://127.0.0.1:11213/data",), "rounds_per_invocation": ("1", "3"),
}  # fmt: skip
NOT_ON_THE_COMMAND_LINE = {field.name for field in fields(CallPace)} - {"rounds_per_invocation"}


def drawn(seed: int, seen: set[tuple[str, str]]) -> dict[str, str]:
    """Choices that do not contradict each other, of values that were not seen yet as far as there are any."""
    rng = random.Random(seed)
    always = ("case", "dataset", "protocol", "run", "store")
    fresh = {name: [value for value in values if (name, value) not in seen] for name, values in VALUES.items()}
    names = [name for name in VALUES if name in always or rng.random() < 0.5]
    found = {name: rng.choice(fresh[name] or VALUES[name]) for name in names}
    found.pop("data", None)
    if found["dataset"] == "fashion-mnist":  # which is read from files
        found["data"] = "."
    for name, having in protocols.options().items():
        if found.get("protocol", "averaging") not in having:
            found.pop(name, None)
    if "rounds" in found:
        found.pop("epochs", None)
    if "ema" in found:
        found.pop("average_last", None)
    if found.get("workers") != "4":
        found.pop("tree", None)
    return found


def argv_of(choices: dict[str, str]) -> list[str]:
    argv = ["--platform", "openfaas"]
    for name, value in choices.items():
        flag = "--" + name.replace("_", "-")
        if name == "trace" and value == "false":
            argv.append("--no-trace")
        elif value in ("true", "false"):
            argv += [flag] if value == "true" else []
        else:
            argv += [flag, value]
    return argv


def as_json(choices: dict[str, str]) -> dict[str, Any]:
    """The same as a body would have them: numbers as numbers."""

    def value(name: str, text: str) -> Any:
        return text if name in ("tree", "augment") else _number_or(text)

    return {name: value(name, text) for name, text in choices.items()}


def _number_or(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_the_same_choices_are_the_same_specification(tmp_path, monkeypatch):
    """Of the command, of a function's environment, and of a signed body."""
    monkeypatch.chdir(real_data.write_sample(tmp_path))
    every = {(name, value) for name, values in VALUES.items() for value in values}
    seen: set[tuple[str, str]] = set()
    for seed in range(100):
        choices, invocation = drawn(seed, seen), ("sync", "async")[seed % 2]
        args = tool._parser().parse_args([*argv_of(choices), "--invocation", invocation])
        of_the_command = tool.plan(args, platforms.of(args)).spec
        for chosen in (choices, as_json(choices)):
            of_the_function = unattended.plan(chosen, invocation)[1]
            assert of_the_function.to_json() == of_the_command.to_json(), f"seed {seed}: {choices}"
        seen |= set(choices.items())
        if seen == every:
            return
    pytest.fail(f"never tried: {sorted(every - seen)}")


def test_there_is_one_list_of_choices():
    """Fields, options of the command, settings of the stack and this test's values: none has more than the others."""
    schema = json.loads(STACK_SCHEMA.read_text())["$defs"]["of_setup"]["properties"]
    assert set(VALUES) == unattended.CHOICES - NOT_ON_THE_COMMAND_LINE
    assert set(vars(tool._parser().parse_args([]))) >= set(VALUES)
    assert set(schema) >= unattended.CHOICES - {"run"}  # of one run; an environment is of many


def test_a_function_runs_no_file(tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')")
    for case in (str(tmp_path / "mine.py"), str(tmp_path / "tuned.json"), "nobody's", 5, None):
        with pytest.raises(UsageError, match=r"no case .* in the functions|wanted a text"):
            unattended.plan({"case": case}, "sync")
    (tmp_path / "mine.csv").write_text("a,y\n" + "1,p\n2,q\n" * 9)
    for name in (str(tmp_path / "mine.csv"), "../mine.csv", "/etc/passwd"):
        with pytest.raises(UsageError, match=r"no dataset .*; there are"):
            unattended.plan({"case": "c", "dataset": name}, "sync")
    with pytest.raises(UsageError, match="no case None in the functions; there are a, b, c, emnist, r"):
        unattended.plan({}, "sync")


def test_layers_of_one_s_own_are_refused_where_workers_cannot_have_them():
    _, spec = plan.plan(Job(case="c", dataset="fashion-sample"))
    prices = unattended.prices.tariff(unattended.HOME)
    with pytest.raises(
        UsageError,
        match=r"mine\.py defines layers or other parts of its own, which are",
    ):
        unattended.adapt(replace(spec, case_file=OwnCode("mine.py", "0" * 64)), "sync", CallPace(), prices)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("wrokers", 1, "no choice wrokers; there are augment, average_last"),
        ("workers", "two", "workers = 'two': wanted a whole number"),
        ("workers", 1.5, "workers = 1.5: wanted a whole number"),
        ("workers", True, "wanted a whole number"),
        ("workers", None, "wanted a whole number"),
        ("workers", [1], "wanted a whole number"),
        ("seed", 10**400, "wanted a whole number"),
        ("batch_size", "9" * 5000, "wanted a whole number"),
        ("learning_rate", "fast", "wanted a number"),
        ("learning_rate", float("nan"), "wanted a number"),
        ("lease_ttl_s", float("inf"), "wanted a number"),
        ("trace", "yes", "trace = 'yes': wanted true or false"),
        ("trace", 1, "wanted true or false"),
        ("tree", "1,x", "wanted numbers, root to workers"),
        ("tree", [1, 2], "wanted a text"),
        ("augment", "mirror", "wanted none, flip"),
        ("run", 5, "run = 5: wanted a text"),
        ("protocol", "search", "no protocol 'search'"),
        ("schedule", "linear", "no schedule 'linear'"),
        ("quorum", 0, "quorum: 0, wanted at least 1"),
    ],
)
def test_what_cannot_be_meant_is_one_line(name, value, why):
    with pytest.raises(UsageError, match=why) as found:
        unattended.plan({"case": "c", "dataset": "fashion-sample", name: value}, "sync")
    assert len(str(found.value)) < 700


def test_contradictions_are_refused():
    with pytest.raises(UsageError, match="rounds= and epochs= both say how long"):
        Job(case="c", rounds=1, epochs=1)
    values = {"staleness_aware": True, "combine": "sum", "wire": "float16"}
    for name, (protocol,) in protocols.options().items():
        other = "downpour" if protocol == "averaging" else "averaging"
        with pytest.raises(UsageError, match=f"{name} is for protocol {protocol}, and this is {other}: leave it out"):
            Job(case="c", protocol=other, **{name: values.get(name, 1)})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [nnlite.Averaging, nnlite.Downpour])
def test_an_option_of_0_is_an_option(kind):
    other = "downpour" if kind.name == "averaging" else "averaging"
    for name in set(kind.ranges) & set(kind.option_names()):
        assert getattr(Job(case="c", protocol=kind(**{name: 0})), name) == 0
        with pytest.raises(UsageError, match=f"{name}: 0, wanted at least"):
            nnlite.plan("c", dataset="fashion-sample", protocol=kind(**{name: 0}))
        with pytest.raises(UsageError, match=f"{name} stands in the job and in its protocol"):
            Job(case="c", protocol=kind(**{name: 1}), **{name: 0})
        with pytest.raises(UsageError, match=f"{name} is for protocol {kind.name}, and this is {other}"):
            Job(case="c", protocol=other, **{name: 0})


def test_a_protocol_with_its_options_is_the_same_job_as_its_name_with_theirs():
    assert Job(case="c", protocol=nnlite.Downpour(push_every=50)) == Job(case="c", protocol="downpour", push_every=50)
    assert Job(case="c", protocol=nnlite.Averaging(quorum=np.int64(3)), workers=4) == Job(case="c", quorum=3, workers=4)
    assert Job(case="c", protocol=nnlite.Averaging()) == Job(case="c")
    assert nnlite.Downpour() == nnlite.Downpour(push_every=None)
    with pytest.raises(UsageError, match="push_every stands in the job and in its protocol downpour: leave one out"):
        Job(case="c", protocol=nnlite.Downpour(push_every=50), push_every=50)
    with pytest.raises(UsageError, match="no protocol 'search'; there are averaging, downpour"):
        Job(case="c", protocol=Search())


def test_ways_to_change_images_are_texts():
    assert job.augmentation("none") == Augment()
    assert job.augmentation("flip,crop:4") == Augment(True, 4)
    assert job.augmentation("cutout:8") == Augment(cutout=8)
    assert job.augmentation("crop:4,cutout:8,flip") == Augment(True, 4, 8)
    assert job.augmentation("mixup:0.2,flip") == Augment(flip=True, mixup=0.2)
    assert job.tree("1,4,20") == (1, 4, 20)


# ---- values of any type

NUMBERS = st.integers() | st.floats() | st.booleans() | st.sampled_from([10**400, -(10**5_000), 2**53 + 1])
ANY = st.one_of(
    st.none(), NUMBERS, st.text(max_size=9), st.binary(max_size=9), st.complex_numbers(), st.lists(NUMBERS, max_size=3),
    st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2), st.tuples(st.text(max_size=3)),
    st.sampled_from([object(), int, np.float32(0.5), np.int64(3), np.arange(3), np.datetime64(1, "D"), Path("x")]),
    st.sampled_from(["a" * 5_000, "a" * 5_000 + ".py", "a" * 300 + ".json", "\0.py", "\x1b[2J.json", "\ud800", "file://x\0"]),
)  # fmt: skip
ROWS = small.dataset()


@pytest.mark.parametrize("name", [field.name for field in fields(Job)])
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(value=ANY)
def test_a_value_of_any_type_is_taken_or_refused_in_a_short_line(name, value):
    """From Python, and as emnist-setup reads it."""

    def from_json():
        return Job(**{"case": "a", **job.read({name: value}, Job)[0]})

    for made in (lambda: Job(**{"case": "a", name: value}), from_json):
        said = ""
        try:
            plan.plan(made(), ROWS)
        except UsageError as error:
            said = str(error)
        assert len(said) < 1_500
        assert said == "" or said.isprintable()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("case", 5, "Job.case: expected a text, found 5"),
        ("rounds", True, "Job.rounds: expected a whole number or nothing, found True"),
        ("tree", (1, "x"), "Job.tree: expected a list (a whole number) or nothing, found (1, 'x')"),
        ("augment", "flip", "Job.augment: expected a description of Augment or nothing, found 'flip'"),
        ("trace", "yes", "Job.trace: expected true or false, found 'yes'"),
    ],
)
def test_a_wrong_type_is_named_with_what_was_found_and_wanted(name, value, words):
    with pytest.raises(UsageError) as refused:
        Job(**{"case": "a", name: value})
    assert str(refused.value) == words
