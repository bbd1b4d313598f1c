"""Every decoder, fed with what a hostile store, file or network can hold: only our own errors come out, and quickly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite import configured, nn, weights
from nnlite.cost import prices
from nnlite.cost.profile import Profile
from nnlite.errors import NnliteError
from nnlite.invoker.aws import lambda_invoker
from nnlite.invoker.messages import OF_FUNCTION, OF_PROCESS, heard
from nnlite.invoker.openfaas import gateway
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Summary, Tally
from nnlite.protocol.downpour import updates
from nnlite.protocol.downpour.evaluation import CheckpointScore
from nnlite.protocol.downpour.updates import Label, Ledger
from nnlite.protocol.effects import Model, Standing, TrainingSums
from nnlite.protocol.records import cursor
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import DataSpec, RunSpec
from nnlite.protocol.records.usage import Usage
from nnlite.protocol.search.asha import Ladder
from nnlite.protocol.search.board import Claim
from nnlite.protocol.search.result import Result, Timing
from nnlite.protocol.search.spec import Drawn, SearchSpec
from nnlite.protocol.search.watcher import Outcome
from nnlite.records import Kept, parse
from nnlite.report import optimum
from nnlite.runs import model_file
from nnlite.runtime.invocation import Payload
from nnlite.simulation import profile as simulated
from nnlite.telemetry import format
from nnlite.telemetry.writer import environment
from tests.protocol.toy import spec

SIZE = 6
VECTOR = np.arange(SIZE, dtype=np.float32)
MODEL = Model(VECTOR, {"w": (SIZE,)})
DATA = DataSpec("bits", "0" * 16, 100, 100, (0.0,), (1.0,))
NETWORK = nn.Sequential([nn.Flatten(), nn.Dense(2)], (1, 2, 2))
QUICK_S = 2.0  # for what takes milliseconds, on a machine that does much else


@dataclass(frozen=True)
class Decoder:
    """What reads a JSON text, and a text that it takes. `forgives`: what is wrong is skipped and counted."""

    name: str
    read: Callable[[bytes], Any]
    sound: bytes
    forgives: bool = False


def kept_in(name: str, decode: Callable[[bytes, str], Any], data: bytes, where: str = "x") -> Decoder:
    """Of the JSON that is metadata of a weights file."""
    found = weights.decode(data)

    def read(text: bytes) -> Any:
        metadata = {**found.metadata, name: text.decode(errors="replace").replace("\ud800", "?")}
        return decode(weights.encode(np.array(found.vector), found.shapes, metadata), where)

    return Decoder(f"{decode.__module__} {name}", read, found.metadata[name].encode())


def of_class(kind: Any, sound: Any) -> Decoder:
    data = sound.to_json("x") if issubclass(kind, Kept) else sound.to_json()
    return Decoder(kind.__name__, lambda data: kind.from_json(data, "x"), data)


STANDING = Standing(MODEL, 3, TrainingSums(False, 4, 1.0), TrainingSums(False, 0, 0.0))
LABEL = Label(0, 1, 2, 3, False, 4, 0.5, 1)
LEDGER = Ledger((1, 2), (10, 20), (1,), (0, 1))
CHECKPOINT = updates.folded(MODEL, LEDGER, Tally(4, 2.0, 2, 1, 0.5), "x").data
USAGE = Usage(2.0, 3.0, 0.1, 1.0, 0.5, 0.2, 1, 10, 5, 1, 500, 1000, 90.0)
TRACE = [format.Span("train", 0.5, 1.0, 1, 100), {"mark": "end", "at_s": 2.0, "reason": "done"}]
HEADER = {"began_unix_s": 1.7e9, "run": "r", "cold_start": True, "environment": environment()}
LOST = {
    "requestContext": {"condition": "RetriesExhausted"},
    "requestPayload": {"run": "r", "store": "s3://b/p", "worker": 0, "attempt": 1, "spec": "a" * 64},
    "responsePayload": {"errorType": "E", "errorMessage": "m"},
}
CHOICE = {
    "event": "choice", "objective": "cost", "memory_mb": 256, "within": 0.03, "certainty": 0.9, "saving": 0.5,
    "run": {"workers": 2, "seconds": 4.0, "usd": 0.1}, "not_confirmed": None,
    "curve": [{"memory_mb": 256, "measured_s": [1.0], "fitted_s": 1.0, "gb_s": 1.0, "against_choice": 1.0}],
}  # fmt: skip
PROBE = json.dumps({"event": "probe", "memory_mb": 256, "workers": 1, "seconds": 1.0}).encode()
CASE = configured.describe(
    {"case": "c", "title": "t", "case_file": None, "dataset": "mnist", "augment": None},
    NETWORK.config(), nn.SGD(0.1).config(), 10, 2,
)  # fmt: skip


def read_case(data: bytes, tmp: list[Any] = []) -> Any:  # noqa: B006 (a folder for all)
    import tempfile
    from pathlib import Path

    tmp.append(tmp[0] if tmp else tempfile.mkdtemp(prefix="nnlite-cases-"))
    path = Path(tmp[0]) / "case.json"
    path.write_bytes(data)
    return configured.load(path)


def functions(data: bytes) -> Any:
    made = gateway.Gateway("http://127.0.0.1:1")
    made._system = lambda *_: gateway.Answer(200, data.decode(errors="replace"))  # type: ignore[method-assign]
    return made.functions()


def model(data: bytes, name: str) -> Any:
    metadata = {"network": json.dumps(NETWORK.config()), "scale": '{"mean": [0.0], "std": [1.0]}'}
    shapes = {key: tuple(shape) for key, shape in NETWORK.layout.items()}
    encoded = weights.encode(
        np.zeros(NETWORK.layout.size, np.float32), shapes, {**metadata, name: data.decode(errors="replace")}
    )
    return model_file.decode(encoded, "x")


DECODERS = [
    of_class(Head, Head(3, "done", "all rounds done", 3, 0.5, 7, (1, 2), (3, 4), (0,), (1, 1), 1)),
    of_class(Lease, Lease(3, "me", 5, 1, 2, USAGE, USAGE, True, 0.25, 4, 1)),
    of_class(RunSpec, spec(3)),
    of_class(SearchSpec, SearchSpec("s", "asha", 9, 1, 16, Ladder((1, 3)), DATA)),
    of_class(Claim, Claim(1, 0)),
    of_class(Result, Result(1, 0, 3, 100, "ok", "", 0.5, 0.25, 0.125)),
    of_class(Timing, Timing(0, 1, 2.0, 0.1)),
    of_class(Outcome, Outcome(1, 0, 3, 0.5, 0.25, 0.5, 100)),
    of_class(Summary, Summary(1, 0.5, 100, 0.25, 0.5, 0.75)),
    of_class(CheckpointScore, CheckpointScore(1, 100, 200, 0.5, None)),
    of_class(Payload, Payload("r", "s3://b/p", 0, 1, "a" * 64)),
    of_class(Profile, Profile(*[0.1] * 7)),
    of_class(simulated.WorldProfile, simulated.WorldProfile(
        simulated.ASSUMED["s3"], simulated.ComputeProfile(1.0, 1.0, 1.0, 1.0, 1.0), "c", 10, 1.0)),
    of_class(prices.Tariff, prices.tariff("us-east-1")),
    Decoder("prices", lambda data: prices.parse(data.decode(errors="replace"), "us-east-1", "arm64", "x"),
            prices.BUNDLED.read_bytes()),
    of_class(Drawn, Drawn.of({"rate": 0.5, "hidden": [1]})),
    kept_in("tally", contribution.decode, contribution.encode(MODEL, Tally(4, 2.0, 2, 1, 0.5), "x")),
    kept_in("cursor", cursor.decode, cursor.encode(STANDING, 1, "x")),
    kept_in("update", lambda d, w: updates.decode(d, w, SIZE), updates.encode(MODEL, LABEL, "x")),
    kept_in("ledger", lambda d, w: updates.read(d, w, 2), CHECKPOINT),
    Decoder("network", lambda data: model(data, "network"), json.dumps(NETWORK.config()).encode()),
    Decoder("scale", lambda data: model(data, "scale"), b'{"mean": [0.5], "std": [0.25]}'),
    Decoder("case", read_case, CASE),
    Decoder("trace", format.decode, format.encode(HEADER, TRACE), forgives=True),
    Decoder("optimization", lambda data: optimum.parse(PROBE.decode() + "\n" + data.decode(errors="replace"), "x"),
            json.dumps(CHOICE).encode(), forgives=True),
    Decoder("lost event", lambda data: lambda_invoker._lost(data.decode(errors="replace"), "r"),
            json.dumps(LOST).encode(), forgives=True),
    Decoder("message of a process", lambda data: heard(OF_PROCESS, data.decode(errors="replace")),
            b'{"event": "left", "worker": 0, "attempt": 1, "reason": "done"}', forgives=True),
    Decoder("functions of a gateway", functions, b'[{"name": "f", "replicas": 1, "labels": {"a": "b"}}]'),
    Decoder("answer of a function", lambda data: heard(OF_FUNCTION, data.decode(errors="replace")),
            b'{"event": "ready", "exec_timeout_s": 300.0}', forgives=True),
]  # fmt: skip
ALL = [pytest.param(decoder, id=decoder.name) for decoder in DECODERS]
STRICT = [pytest.param(decoder, id=decoder.name) for decoder in DECODERS if not decoder.forgives]


def survives(decoder: Decoder, data: bytes) -> Any:
    """What comes out, or the error of ours; within a moment."""
    began_s = time.process_time()
    found: Any
    try:
        found = decoder.read(data)
    except NnliteError as error:
        found = error
    assert time.process_time() - began_s < QUICK_S, f"{decoder.name}: too long for {len(data)} bytes"
    assert not isinstance(found, NnliteError) or str(found).isprintable(), ascii(str(found))
    return found


@pytest.mark.parametrize("decoder", ALL)
def test_what_is_sound_is_read(decoder):
    assert not isinstance(survives(decoder, decoder.sound), NnliteError)


WHOLE = [
    b"", b"\0", b"\xff\xfe", b"null", b"1", b"true", b'"x"', b"[]", b"[null]", b"{", b"<html>not ours</html>",
    b"[" * 3_000, b'{"a":' * 3_000, b"[]" * 9, b"[" + b"[]," * 200_000 + b"[]]", b"NaN", b"1e999", b"9" * 400,
    b"-" + b"1" * 9_000, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
]  # fmt: skip


@pytest.mark.parametrize("decoder", ALL)
def test_what_is_something_else_altogether(decoder):
    for data in WHOLE:
        found = survives(decoder, data)
        may_be = decoder.forgives or (decoder.name, data) == ("functions of a gateway", b"[]")
        assert may_be or isinstance(found, NnliteError), f"{data[:40]!r} is taken for sound: {found!r}"


@pytest.mark.parametrize("decoder", STRICT)
def test_no_field_is_optional_none_comes_twice_and_none_is_new(decoder):
    values = json.loads(decoder.sound)
    if decoder.name in ("configuration", "prices", "functions of a gateway", "network", "case"):
        return  # names are free there, or others' to add to
    for name in values:
        left = {other: value for other, value in values.items() if other != name}
        found = survives(decoder, json.dumps(left).encode())
        assert isinstance(found, NnliteError), f"without {name}"
        assert name in str(found)
    new = survives(decoder, json.dumps({**values, "new": 1}).encode())
    assert isinstance(new, NnliteError)
    assert "'new'" in str(new)
    twice = decoder.sound.rstrip()[:-1] + b', "%s": 1}' % next(iter(values)).encode()
    assert isinstance(survives(decoder, twice), NnliteError)


ODD: list[Any] = [None, True, -1, 10**18, -3.5, 1e300, "", "x", "\x1b[2J", [], [[]], {}, {"is": "Dense"}]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of every value in a JSON value, the outermost first."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, inner in pairs for found in paths(inner, (*path, name)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@pytest.mark.parametrize("decoder", ALL)
def test_every_field_with_odd_values(decoder):
    lines = decoder.sound.strip().split(b"\n") if decoder.name == "trace" else [decoder.sound]
    for line in lines:
        values = json.loads(line)
        for path in paths(values)[1:60]:
            for odd in ODD:
                survives(decoder, json.dumps(replaced(values, path, odd)).encode())
            text = json.dumps(replaced(values, path, "@")).encode()
            for raw in (b"NaN", b"-Infinity", b"9" * 400, b"[" * 500 + b"]" * 500):
                survives(decoder, text.replace(b'"@"', raw))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("decoder", ALL)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_mutations(decoder, data):
    """Bytes changed, cut and joined, and whole values exchanged, in what was sound."""
    sound = decoder.sound
    if data.draw(st.booleans()):
        line = data.draw(st.sampled_from(sound.strip().split(b"\n"))) if decoder.name == "trace" else sound
        values = json.loads(line)
        path = data.draw(st.sampled_from(paths(values)))
        changed = json.dumps(replaced(values, path, data.draw(JSON))).encode()
    else:
        at, end = sorted(data.draw(st.tuples(*[st.integers(0, len(sound))] * 2)))
        changed = sound[:at] + data.draw(st.binary(max_size=6)) + sound[end:]
    survives(decoder, changed)


def test_a_head_without_fields_is_no_run_that_goes_on():
    for data in (b"{}", b'{"round": 0}', b'{"round": 0, "status": "running"}'):
        with pytest.raises(NnliteError, match="is missing"):
            Head.from_json(data, "runs/r/head.json")


@pytest.mark.parametrize("decoder", STRICT)
def test_what_is_wrong_is_told_in_a_line_of_bounded_length(decoder):
    values = json.loads(decoder.sound)
    for path in paths(values)[1:60]:
        for long in ("a" * 5_000, [1] * 5_000, {"a" * 5_000: "\x1b"}, [["a" * 5_000]]):
            found = survives(decoder, json.dumps(replaced(values, path, long)).encode())
            assert not isinstance(found, NnliteError) or len(str(found)) < 1_500, path


@pytest.mark.parametrize("status", ["", "paused", "Running", "done ", "running\x1b[2J", None, 1])
def test_a_head_has_one_of_four_statuses(status):
    sound = json.loads(Head().to_json("x"))
    with pytest.raises(NnliteError, match="status: expected "):
        Head.from_json(json.dumps({**sound, "status": status}).encode(), "x")


@pytest.mark.parametrize("name", ["\x1b[2J", "units\ud800", "a\nb", "a" * 100_000])
def test_a_field_that_no_layer_has_is_told_in_a_short_line(name):
    values = NETWORK.config()
    values["layers"][1][name] = 1
    with pytest.raises(NnliteError, match="the description of Dense does not fit") as caught:
        model(json.dumps(values).encode(), "network")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


def test_a_contribution_of_less_than_nothing_is_not_merged():
    good = contribution.encode(MODEL, Tally(5, 1.0), "a")
    found = weights.decode(good)
    text = found.metadata["tally"].replace('"num_samples": 5', '"num_samples": -3')
    bad = weights.encode(VECTOR, {"w": (SIZE,)}, {**found.metadata, "key": "runs/r/x", "tally": text})
    with pytest.raises(NnliteError, match=r"^runs/r/x .*num_samples: expected a whole number, 0 or more, found -3"):
        contribution.merge({"a": good, "runs/r/x": bad}, "merged")


def test_of_a_trace_the_damaged_lines_are_counted_and_the_others_read():
    lines = format.encode(HEADER, TRACE).strip().split(b"\n")
    bad = [
        b"[" * 3_000,
        b"Infinity",
        b"{}",
        b'{"span": "train", "begin_s": "0"}',
        b"9" * 400,
        b'{"mark": "x"}',
        b"\xff",
    ]
    bad += [lines[1].replace(b"100", b"-3"), lines[1].replace(b'"round": 1', b'"round": 1e5'), lines[1][:-3]]
    batch = format.decode(b"\n".join([lines[0], *bad, *lines[1:]]))
    assert batch.num_skipped == len(bad)
    assert (len(batch.spans), len(batch.marks)) == (1, 1)
    assert batch.header == parse(lines[0])


@pytest.mark.parametrize("size", ["99999999999", "5", "-6", "6.0", "", None])
@pytest.mark.parametrize("wire", ["topk", "float16"])
def test_a_packed_update_takes_the_memory_of_a_checkpoint_whatever_it_claims(wire, size):
    found = weights.decode(updates.encode(MODEL, LABEL, "x", wire))
    metadata = {name: text for name, text in {**found.metadata, "size": size}.items() if text is not None}
    data = weights.encode(np.array(found.vector), found.shapes, metadata)
    with pytest.raises(NnliteError, match="x is not a sound update: expected one of 6 entries"):
        updates.decode(data, "x", SIZE)


@pytest.mark.parametrize("indices", [[0, 6], [-1, 2], [3, 3], [4, 2]])
def test_a_sparse_update_names_entries_once_and_in_order(indices):
    packed = np.concatenate([np.array(indices, np.int32).view(np.float32), np.ones(2, np.float32)])
    data = weights.encode(
        packed,
        {"indices": (2,), "values": (2,)},
        {"key": "x", "wire": "topk", "size": "6", "update": LABEL.to_json().decode()},
    )
    with pytest.raises(NnliteError, match="not a sound update"):
        updates.decode(data, "x", SIZE)


def test_numbers_that_no_run_needs():
    big = json.loads(spec(3).to_json()) | {"num_workers": 10**8, "tree_widths": [1, 10**8]}
    with pytest.raises(NnliteError, match="workers: 100,000,000, wanted at most 100,000"):
        RunSpec.from_json(json.dumps(big).encode(), "x")
    lease = json.loads(Lease(1, "").to_json("x")) | {"attempt": 10**9}
    with pytest.raises(NnliteError, match="attempt: expected a whole number from 0 to 999,999,999, found 1000000000"):
        Lease.from_json(json.dumps(lease).encode(), "x")
    head = Head(applied=(1,), steps=(1,), bases=(0,))
    with pytest.raises(NnliteError, match="run of 2 workers tells of others"):
        head.ledger(2)
