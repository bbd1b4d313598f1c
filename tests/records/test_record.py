"""A record is read back as it was written; what is not one is said in a line that names where, field, found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import pytest

from nnlite.errors import StoreError, UsageError, WeightsError
from nnlite.records import Amount, Count, Kept, OneOf, Range, Record, Share, Unsound, fit, parse
from nnlite.records.text import MOST_DEPTH, MOST_PARTS


@dataclass(frozen=True)
class Inner:
    name: str
    part: Share = 0.5


@dataclass(frozen=True)
class Thing(Record, what="a thing", hint="make another"):
    count: Count
    seconds: Amount
    kind: Annotated[str, OneOf(("big", "small"))] = "big"
    sizes: tuple[Annotated[int, Range(1, 9)], ...] = ()
    inner: Inner | None = None
    free: dict[str, Any] | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        if self.count == 13:
            raise UsageError("13 is unlucky")


THING = Thing(3, 1.5, sizes=(1, 2), inner=Inner("x"), free={"a": [1, {"b": None}], "c": 0.5})
PLACE = "runs/r/thing.json"


def test_what_was_written_is_read_and_the_same_values_are_the_same_bytes():
    again = Thing.from_json(THING.to_json(), PLACE)
    assert again == THING
    assert again.to_json() == THING.to_json()
    assert isinstance(Thing.from_json(replace(THING, seconds=2).to_json(), PLACE).seconds, float)
    assert Thing.from_json(memoryview(THING.to_json()), PLACE) == THING


def changed(**values: Any) -> bytes:
    return json.dumps({**json.loads(THING.to_json()), **values}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(count="3"), "count: expected a whole number, found '3'"),
        (changed(count=-3), "count: expected a whole number, 0 or more, found -3"),
        (changed(count=True), "count: expected a whole number, found true"),
        (changed(count=3.0), "count: expected a whole number, found 3.0"),
        (changed(count=2**60), "count: expected a whole number, found a number beyond 2**53"),
        (changed(count=None), "count: expected a whole number, found null"),
        (changed(count=13), "13 is unlucky"),
        (changed(seconds="1.5"), "seconds: expected a number, found '1.5'"),
        (changed(seconds=float("inf")), "expected a finite number, found 'Infinity'"),
        (changed(seconds=float("nan")), "expected a finite number, found 'NaN'"),
        (changed(seconds=-0.5), "seconds: expected a number, 0 or more, found -0.5"),
        (changed(kind="huge"), "kind: expected a text like big or small, found 'huge'"),
        (changed(sizes=[1, 99]), "sizes[1]: expected a whole number from 1 to 9, found 99"),
        (changed(sizes={}), "sizes: expected a list, found an object of 0 fields"),
        (changed(inner={"name": "x", "part": 2}), "inner.part: expected a number from 0 to 1, found 2"),
        (changed(inner={"name": 5, "part": 1}), "inner.name: expected a text, found 5"),
        (changed(inner={}), "inner: the field 'name' is missing"),
        (changed(inner=[]), "inner: expected an object, found a list of 0"),
        (changed(flag=0), "flag: expected true or false, found 0"),
        (changed(free={"a": "\ud800"}), "free.a: expected a text of whole characters"),
        (changed(more=1), "there is no field 'more'"),
        (b"{}", "the field 'count' is missing"),
        (b"[]", "expected an object, found a list of 0"),
        (b"", "expected JSON, found something else at character 0"),
        (b"\xff", "expected JSON, found bytes that are no text"),
        (changed().replace(b'"count"', b'"count": 4, "count"'), "the field 'count' is there twice"),
        (changed().replace(b"1.5", b"1e999"), "expected a finite number, found '1e999'"),
        (changed().replace(b"1.5", b"9" * 400), "expected a number that can be meant, found '999"),
        (b"[" * 3_000, "nested more than"),
        (b'{"a":' * 3_000, "nested more than"),
        (b'{"free": ' + b"[" * MOST_DEPTH + b"]" * MOST_DEPTH + b"}", "nested more than 64 deep"),
        (b"[" + b"[]," * MOST_PARTS + b"[]]", "expected at most 100,000 lists and objects"),
        (b" " * 1_000_001, "expected at most 1,000,000 bytes, found 1,000,001"),
    ],
)  # fmt: skip
def test_anything_else_is_one_line_that_names_place_field_and_both_sides(data, words):
    with pytest.raises(StoreError) as caught:
        Thing.from_json(data, PLACE)
    said = str(caught.value)
    assert said.startswith(f"{PLACE} is not a thing (damaged, or not ours): "), said
    assert words in said, said
    assert said.endswith("; make another"), said
    assert said.isprintable()
    assert len(said) < 300


def test_names_that_are_read_are_quoted():
    with pytest.raises(StoreError) as caught:
        Thing.from_json(changed(**{"\x1b[2J\n" + "x" * 999: 1}), PLACE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_the_error_is_of_the_kind_that_the_record_says():
    @dataclass(frozen=True)
    class Tag(Record, what="a tag", error=WeightsError):
        number: Count

    with pytest.raises(WeightsError, match="x is not a tag"):
        Tag.from_json("null", "x")
    with pytest.raises(WeightsError, match="x is not a tag"):
        Tag.from_values({"number": float("nan")}, "x")


def test_in_somebody_else_s_format_there_is_more_and_less():
    assert fit(Inner, {"name": "x", "colour": 3}, partial=True, others=True) == Inner("x")
    with pytest.raises(Unsound, match="there is no field 'colour'"):
        fit(Inner, {"name": "x", "colour": 3}, partial=True)
    with pytest.raises(Unsound, match="the field 'part' is missing"):
        fit(Inner, {"name": "x"}, others=True)
    with pytest.raises(Unsound, match="part: expected a number"):
        fit(Inner, {"name": "x", "part": "y"}, partial=True, others=True)


@dataclass(frozen=True)
class Note(Kept, what="a note"):
    text: str


def test_what_stands_under_a_key_is_read_under_no_other():
    note = Note("x")
    data = note.to_json("runs/a/note.json")
    assert Note.from_json(data, "runs/a/note.json") == note
    with pytest.raises(StoreError, match=r"^runs/b/note.json: .* says that it is 'runs/a/note.json', expected"):
        Note.from_json(data, "runs/b/note.json")
    with pytest.raises(StoreError, match=r"^runs/a/note.json is not a note .* the field 'key' is missing"):
        Note.from_json(b'{"text": "x"}', "runs/a/note.json")
    with pytest.raises(
        StoreError, match=r"^runs/a/note.json is not a note \(damaged, or not ours\): text: expected a text"
    ):
        Note.from_json(b'{"text": 1, "key": "runs/a/note.json"}', "runs/a/note.json")


def test_what_cannot_be_read_again_is_not_written():
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(THING, seconds=float("nan")).to_json()


def test_a_text_that_ends_in_the_middle_of_many_strings_is_read_quickly():
    with pytest.raises(Unsound):
        parse('["' * 50_000)
    with pytest.raises(Unsound):
        parse('{"a":"\\' * 50_000)


def test_the_bytes_are_those_of_sorted_json():
    assert THING.to_json() == json.dumps(asdict(THING), sort_keys=True).encode()
    with pytest.raises(TypeError, match="complex is not JSON serializable"):
        replace(THING, free={"a": 1j}).to_json()


@pytest.mark.parametrize("found", [float("inf"), float("nan"), -0.5, -1, True, 2**53 + 1, "1"])
def test_limits_hold_for_numbers_that_never_were_text(found):
    with pytest.raises(StoreError, match="seconds: expected "):
        Thing.from_values({**asdict(THING), "seconds": found}, PLACE)
    if type(found) is not float:
        with pytest.raises(StoreError, match="count: expected "):
            Thing.from_values({**asdict(THING), "count": found}, PLACE)
