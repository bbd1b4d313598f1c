"""What commands say to programs: every object they print with --json."""

import json

import pytest

from nnlite.commands import _json


def test_what_is_no_number_in_json_is_null(capsys):
    _json.say("round", loss=float("nan"), seconds={"a": [1.5, float("-inf")], "b": (float("inf"), 2)})
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    told = {"loss": None, "seconds": {"a": [1.5, None], "b": [None, 2]}}
    assert said == {"event": "round", "version": _json.VERSION, **told}


def test_a_version_is_that_of_the_object():
    with pytest.raises(TypeError, match="version"):
        _json.say("evaluation", **{"version": 7})
