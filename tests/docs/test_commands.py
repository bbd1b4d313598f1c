"""What the documents show is run as it stands there, in order, as a reader would copy it."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.docs import commands
from tests.docs.commands import DOCUMENTS, ROOT, TOOLS, blocks, commands_in, complaint

ELSEWHERE = {  # commands that are not run here, and why that is all right
    "make train": "run by hand and by newcomers; its command line is run below",
    "make test": "is what runs this",
}
SMALLER = {  # what would take minutes is run with a little less of it
    "python -m tools.optimize --case a --objective cost": "--max-probes 1 --memory-mb 1024:1769 --workers 2:2",
    "python -m tools.simulate --case emnist --workers 1,10,100,1000 --store s3 --memory-mb 1769 --plot scale.png": (
        "--workers 1,10 --rounds 1"
    ),
    "python -m tools.tune --case c --dataset fashion-sample --trials 9 --out best": "--rounds 3",
    "python -m tools.train --case best.json --workers 4": "--rounds 1",
    "python -m pytest tests/nn -q -k conv": f"--collect-only --rootdir {ROOT}",
}
WITH_COMMANDS = [
    name for name in DOCUMENTS if any(b.language in ("sh", "python") and not b.needs for b in blocks(name))
]
OTHERS = {
    "--editable",
    "--set",
    "--password",
    "--from-file",
    "--recursive",
    "--memory-size",
    "--hold",
}  # options of pip, arkade, faas-cli, aws, and of tests


def run(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("NNLITE_DATA", None)
    return subprocess.run(
        arguments, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_a_document_does_what_it_says(document, tmp_path):
    """All of its commands and programs, one after the other in one folder."""
    if document == "README.md":
        trained = run(train_command("--rounds", "1"), tmp_path)
        assert trained.returncode == 0, trained.stderr
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    for block in blocks(document):
        if block.needs:
            continue
        if block.language == "python":
            named = re.match(r"# file: (\S+)\n", block.text)
            if named:
                (tmp_path / named[1]).write_text(block.text)
                continue
            (tmp_path / "program.py").write_text(block.text)
            done = run([sys.executable, "program.py"], tmp_path)
            assert done.returncode == 0, f"{block.text}\n{done.stderr}"
        elif block.language == "sh":
            for line in block.lines:
                if line not in ELSEWHERE:
                    done = run(words_of(line), tmp_path)
                    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def words_of(line):
    """The command as this Python runs it; smaller, if it has to be."""
    more = shlex.split(SMALLER.get(line, ""))
    return [sys.executable if word == "python" else word for word in shlex.split(line, comments=True)] + more


def test_what_is_run_smaller_or_elsewhere_stands_in_a_document():
    lines = {line for name in DOCUMENTS for block in blocks(name) if block.language == "sh" for line in block.lines}
    assert ELSEWHERE.keys() | SMALLER.keys() <= lines


def test_a_space_of_one_s_own_can_be_searched(tmp_path):
    (program,) = [block.text for block in blocks("docs/search.md") if block.language == "python"]
    (tmp_path / "mine.py").write_text(program)
    command = ["-m", "tools.tune", "--case", "mine.py", "--trials", "3", "--rounds", "1"]
    done = run([sys.executable, *command], tmp_path)
    assert done.returncode == 0, done.stderr


def train_command(*more):
    """The main job as the Makefile has it."""
    line = re.search(r"\$\(BIN\)/python (-m tools\.train .*)", (ROOT / "Makefile").read_text())[1]
    return [sys.executable, *shlex.split(line), *more]


# ---- read, not run


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_one_that_its_tool_understands(document):
    """Also those that need an account, or stand in a sentence."""
    wrong = {
        f"python -m tools.{tool}{rest}": said
        for tool, rest in commands_in((ROOT / document).read_text())
        if (said := complaint(tool, rest))
    }
    assert not wrong


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_stand_in_blocks_that_are_run_or_say_what_they_need(document):
    hidden = [
        line
        for block in blocks(document)
        if block.language != "sh"
        for line in block.text.splitlines()
        if re.match(r"(python -m|make|faas-cli|kubectl|aws|pip) ", line)
    ]
    assert not hidden, "a block of commands is marked `sh`"
    assert all(block.lines for block in blocks(document) if block.language == "sh")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_and_options_in_sentences_exist(document):
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.M)) <= targets
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    named = {option for code in re.findall(r"`([^`\n]+)`", prose) for option in re.findall(r"(?<!\S)--[a-z-]+", code)}
    assert named <= commands.options_of_all_tools() | OTHERS


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_has_a_help_that_ends_with_an_example(tool, tmp_path):
    done = run([sys.executable, "-m", f"tools.{tool}", "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"python -m tools.{tool} " in done.stdout.split("example")[-1]


@pytest.mark.parametrize("tool", TOOLS)
def test_examples_in_a_help_are_understood(tool):
    """Those of its subcommands, and of each platform, too."""
    texts = [
        f"{parser.description}\n{parser.epilog}"
        for words in ([], ["--platform", "openfaas"])
        for parser in commands.parsers(commands.parser_of(tool, words))
    ]
    found = {(name, rest) for text in texts for name, rest in commands_in(text) if rest.strip()}
    assert found
    wrong = {f"python -m tools.{name}{rest}": said for name, rest in found if (said := complaint(name, rest))}
    assert not wrong


def test_what_no_tool_understands_is_found():
    """That the checks above can fail."""
    assert "unrecognized" in complaint("train", " --case b --workerz 2")
    assert "unrecognized" in complaint("train", " --case b --work 2")
    assert "invalid" in complaint("train", " --platform azure")
    assert complaint("deploy", " --platform openfaas --stack-name x")
    assert complaint("bench", " nothing")
    assert not complaint("data", " show fashion-sample --index 3")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_named_files_exist(document):
    text = (ROOT / document).read_text()
    folder = (ROOT / document).parent
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:nnlite|tools|tests|docs|lambda_pkg|faas)/[\w./]+)`", text)
    missing = [link for link in links if not (folder / link).exists()] + [n for n in named if not (ROOT / n).exists()]
    assert not missing
