"""Credentials: where the gateway is, who we are there, and the secret that calls are signed with."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path

from nnlite.errors import RunError, UsageError
from nnlite.platform.openfaas.signing import checked_secret

DEFAULT_URL = "http://127.0.0.1:8080"
SECRET_FILE = "NNLITE_OPENFAAS_SECRET_FILE"


def gateway_url(given: str | None, environ: Mapping[str, str]) -> str:
    """As given, else OPENFAAS_URL, else where faas-cli looks. Raises UsageError for what is no URL."""
    url = (given or environ.get("OPENFAAS_URL") or DEFAULT_URL).rstrip("/")
    if not re.fullmatch(r"https?://[^/\s@]+(/\S*)?", url):
        raise UsageError(
            f"gateway {url!r}: wanted http://host:port, without a password; that goes into OPENFAAS_PASSWORD"
        )
    return url


def account(url: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """User and password at the gateway: of the environment, else as `faas-cli login` left them, else none.

    The environment: OPENFAAS_USER (default admin) and OPENFAAS_PASSWORD. faas-cli's file: `config.yml` in
    OPENFAAS_CONFIG or `~/.openfaas`. Raises RunError when that cannot be understood.
    """
    if "OPENFAAS_PASSWORD" in environ:
        return environ.get("OPENFAAS_USER") or "admin", environ["OPENFAAS_PASSWORD"]
    folder = environ.get("OPENFAAS_CONFIG") or str(Path(environ.get("HOME") or "~").expanduser() / ".openfaas")
    path = Path(folder) / "config.yml"
    try:
        text = path.read_text()
    except OSError:
        return "", ""
    for entry in _entries(text):
        if entry.get("gateway", "").rstrip("/") == url and entry.get("auth", "basic") == "basic":
            return _decoded(entry.get("token", ""), url, path)
    return "", ""


def _entries(text: str) -> list[dict[str, str]]:
    """The logins in faas-cli's file. It is YAML as one program writes it, so lines `- key: value` are all of it."""
    entries: list[dict[str, str]] = []
    for line in text.splitlines():
        found = re.fullmatch(r"\s*(- )?\s*(\w+):\s*(.*?)\s*", line)
        if found is None:
            continue
        if found[1]:
            entries.append({})
        if entries:
            entries[-1][found[2]] = found[3].strip("'\"")
    return entries


def _decoded(token: str, url: str, path: Path) -> tuple[str, str]:
    try:
        user, found, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        found = ""
    if not found:
        raise RunError(f"{path} has no sound login for {url}: run `faas-cli login --gateway {url}` once more")
    return user, password


def secret(given: str | None, environ: Mapping[str, str]) -> bytes:
    """The secret that calls are signed with, from the file given, else NNLITE_OPENFAAS_SECRET_FILE.

    Raises UsageError when there is none, or when it is too short.
    """
    path = given or environ.get(SECRET_FILE)
    if not path:
        raise UsageError(
            f"calls must be signed: --secret-file FILE (or {SECRET_FILE}), the same that the functions have"
        )
    try:
        return checked_secret(Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"--secret-file {path}: {error.strerror or error}") from None
