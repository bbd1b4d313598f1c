"""A headless Chromium: opens a page and says what came of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Opened:
    """A page after its scripts ran: the document as it stands, and what was said on the console."""

    dom: str
    console: list[str]


def with_script(html: str, script: str) -> str:
    """The page with one more script at its end, which its policy allows by its hash."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = html.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    assert allowed != html
    return allowed.replace("</body>", f"<script>{script}</script></body>")


def open_page(path: Path, *options: str) -> Opened:
    """Load a file in a window of its own. Skips the test when there is no Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000",
            *options, "--dump-dom", f"file://{path}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "<html" in done.stdout, f"chromium said: {done.stderr[-2000:]}"
    return Opened(done.stdout, re.findall(r"CONSOLE[:(].*", done.stderr))
