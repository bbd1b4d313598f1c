"""What numbers are called: of every loss and accuracy it is said which split it is of; rounds have one numbering."""

import json
import re
from pathlib import Path

import pytest

import nnlite
from nnlite.commands import COMMANDS, door, parser_of

BARE = re.compile(r"(?<!training )(?<!validation )(?<!test )\b(?:loss|accuracy)\b(?= +[\d(]|  |$)", re.MULTILINE)
SEARCH = ("--trials", 3, "--rounds", 3, "--parallel", 1, "--processes", 0, "--out", "best")


def said(capfd, *argv):
    """What a command says on both streams."""
    capfd.readouterr()
    assert door.enter(str(argv[0]), list(map(str, argv[1:]))) == 0
    return "\n".join(capfd.readouterr())


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_what_a_run_shows(protocol, case_file, capfd):
    run = ("--protocol", protocol, "--run", "mine", "--processes", 0, "--eval-every", 1)
    trained = said(capfd, "train", "--case", case_file(), *run)
    one, all_of_them = said(capfd, "status", "mine"), said(capfd, "status")
    assert "  training loss 0." in trained
    for text in (trained, one, all_of_them):
        assert re.search(r"test accuracy 0\.\d", text)
        assert not BARE.findall(text), text


def test_what_a_search_shows(case_file, capfd):
    text = said(capfd, "tune", "--case", case_file(), "--search", "s", *SEARCH)
    for words in (
        "rounds  validation accuracy 0.",
        "  validation accuracy  validation loss  ",
        "test accuracy       0.",
    ):
        assert words in text
    assert not BARE.findall(text), text


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_help_shows(name):
    assert not re.findall(
        r"(?<!training )(?<!validation )(?<!test )(?<!-)\b(?:loss|accuracy)\b", parser_of(name).format_help()
    )


def test_the_rounds_of_downpour_have_one_numbering(case_file, capfd):
    """Whoever shows them: train, the file that it writes, status, report, a trace."""
    argv = ("--case", case_file(), "--protocol", "downpour", "--run", "mine", "--processes", 0, "--push-every", 2)

    def rows(event, *line):
        found = [json.loads(one) for one in said(capfd, *line, "--json").splitlines() if one.startswith("{")]
        return [row for row in found if row["event"] == event]

    trained = [row["round"] for row in rows("round", "train", *argv)]
    (result,) = rows("result", "train", "--resume", "mine", "--out", "w.st")
    assert result["rounds"] == 3
    assert nnlite.load("w.st").about["rounds"] == "3"
    assert " after 3 rounds (" in said(capfd, "train", "--resume", "mine", "--out", "w.st")
    (status,) = rows("status", "status", "mine")
    assert not rows("round", "report", "mine")
    rounds = [(row["round"], row["checkpoint"]) for row in rows("checkpoint", "report", "mine")]
    assert trained == sorted({number for number, _ in rounds}) == [1, 2, 3]
    assert [checkpoint for _, checkpoint in rounds] == list(range(1, len(rounds) + 1))
    assert len(rounds) > 3
    assert rounds == sorted(rounds)
    assert (status["round"], status["num_rounds"]) == (3, 3)
    assert status["checkpoint"] >= len(rounds)
    assert f"round 3/3, checkpoint {status['checkpoint']}  " in said(capfd, "status", "mine")
    assert " 3/3 " in said(capfd, "status")
    said(capfd, "report", "mine", "--trace", "mine.json", "--out", "mine.html")
    events = json.loads(Path("mine.json").read_text())["traceEvents"]
    stood = {event["args"]["checkpoint"] for event in events if "checkpoint" in event.get("args", ())}
    assert min(stood) == 0  # what everybody begins with
    assert max(stood) <= status["checkpoint"]
    page = Path("mine.html").read_text()
    assert re.search(r"<b>3</b>\s*<span>rounds, of 3", page)
    assert re.search(rf"<b>{len(rounds)}</b>\s*<span>checkpoints made", page)


def test_a_search_has_results_and_no_checkpoints(case_file, capfd):
    said(capfd, "tune", "--case", case_file(), "--trials", 2, "--rounds", 1, "--search", "s", *SEARCH[4:])
    for line in (said(capfd, "status", "s"), said(capfd, "status")):
        assert "2 results  " in line
        assert "checkpoint" not in line
