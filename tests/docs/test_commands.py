"""What the documents show is run as it stands there, in order, as a reader would copy it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS_MORE = {  # commands that tests do not run here, and why that is all right
    "make train": "run by hand and by newcomers; its command line is tested below",
    "make test": "is what runs this",
}


def blocks(document):
    """The fenced blocks of a document: (language, text)."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / document).read_text(), re.S | re.M)


def run(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("NNLITE_DATA", None)
    return subprocess.run(
        arguments, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_readme_does_what_it_says(tmp_path):
    """All of its commands and programs, one after the other in one folder."""
    trained = run(train_command("--rounds", "1"), tmp_path)
    assert trained.returncode == 0, trained.stderr
    count = 0
    for language, text in blocks("README.md"):
        if language == "python":
            named = re.match(r"# file: (\S+)\n", text)
            if named:
                (tmp_path / named[1]).write_text(text)
                continue
            done = run([sys.executable, "-c", text], tmp_path)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            count += 1
        elif language == "sh":
            for line in text.splitlines():
                if line in NEEDS_MORE:
                    continue
                command = [sys.executable if word == "python" else word for word in shlex.split(line)]
                done = run(command, tmp_path)
                assert done.returncode == 0, f"{line}\n{done.stderr}"
                count += 1
    assert count >= 10


def test_the_search_document_does_what_it_says(tmp_path):
    """Its command runs, what that writes can be trained, and its case file can be searched."""
    (command,) = [text.strip() for language, text in blocks("docs/search.md") if language == "sh"]
    (program,) = [text for language, text in blocks("docs/search.md") if language == "python"]
    (tmp_path / "mine.py").write_text(program)
    begin = [sys.executable, *shlex.split(command)[1:]]
    for arguments in (
        [*begin, "--rounds", "3", "--out", "best"],
        [sys.executable, "-m", "tools.train", "--case", "best.json", "--rounds", "1", "--workers", "2"],
        [sys.executable, "-m", "tools.tune", "--case", "mine.py", "--trials", "3", "--rounds", "1"],
    ):
        done = run(arguments, tmp_path)
        assert done.returncode == 0, f"{arguments}\n{done.stderr}"


def train_command(*more):
    """The main job as the Makefile has it."""
    line = re.search(r"\$\(BIN\)/python (-m tools\.train .*)", (ROOT / "Makefile").read_text())[1]
    return [sys.executable, *shlex.split(line), *more]


TOOLS = ["train", "status", "stop", "report", "tune", "optimize", "simulate", "deploy", "data", "bench"]


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_has_a_help_that_ends_with_an_example(tool, tmp_path):
    done = run([sys.executable, "-m", f"tools.{tool}", "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"python -m tools.{tool} " in done.stdout.split("example")[-1]


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_and_named_files_exist(document):
    text = (ROOT / document).read_text()
    folder = (ROOT / document).parent
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:nnlite|tools|tests|docs|lambda_pkg)/[\w./]+)`", text)
    missing = [link for link in links if not (folder / link).exists()] + [n for n in named if not (ROOT / n).exists()]
    assert not missing


def test_options_in_the_documents_are_options_of_the_tools(tmp_path):
    tools = ("train", "deploy", "status", "stop")
    known = {tool: run([sys.executable, "-m", f"tools.{tool}", "--help"], tmp_path).stdout for tool in tools}
    for document in ("README.md", "docs/architecture.md", "docs/benchmarks.md", "docs/lambda.md"):
        for tool, line in re.findall(r"python -m tools\.(\w+) ([^`|\n]*)", (ROOT / document).read_text()):
            for option in re.findall(r"--[a-z-]+", line):
                assert tool not in known or option in known[tool], f"{document}: {tool} {option}"
