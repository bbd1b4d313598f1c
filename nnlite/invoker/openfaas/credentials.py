"""Credentials: where the gateway is, who we are there, and the secret that calls are signed with."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from nnlite import places
from nnlite.errors import RunError, UsageError
from nnlite.invoker.openfaas.signing import checked_secret

DEFAULT_URL = "http://127.0.0.1:8080"
SECRET_FILE = "NNLITE_OPENFAAS_SECRET_FILE"
MOST_BYTES = 2**20  #: of faas-cli's file


def gateway_url(given: str | None, environ: Mapping[str, str]) -> str:
    """As given, else OPENFAAS_URL, else where faas-cli looks. Raises UsageError for what is no URL."""
    url = (given or environ.get("OPENFAAS_URL") or DEFAULT_URL).rstrip("/")
    if not _is_url(url):
        shown = re.split("[?#;]", re.sub(r"//.*@", "//***@", url, flags=re.DOTALL))[0]
        raise UsageError(
            f"gateway {shown!r:.120}: wanted http://host:port, without a password; that goes into OPENFAAS_PASSWORD"
        )
    return url


def _is_url(text: str) -> bool:
    """Whether it is the URL of a server: printable ASCII, a host, perhaps a port and a path, and nothing besides."""
    try:
        parts = urlsplit(text)
        bare = not (parts.query or parts.fragment or "@" in parts.netloc)
        return bool(
            re.fullmatch(r"https?://[!-~]+", text) and bare and parts.hostname and (parts.port is None or parts.port)
        )
    except ValueError:  # [::1 or a port of 99999
        return False


def basic(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617), in UTF-8 as faas-cli, curl and browsers send it."""
    # bytes that are not UTF-8 came in as surrogates, and leave as they were
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(errors="surrogateescape")).decode()


def account(url: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """User and password at the gateway: of the environment, else as `faas-cli login` left them, else none.

    The environment: OPENFAAS_USER (default admin) and OPENFAAS_PASSWORD. faas-cli's file: `config.yml` in
    OPENFAAS_CONFIG or `~/.openfaas`. Raises UsageError or RunError when that cannot be understood.
    """
    if "OPENFAAS_PASSWORD" in environ:
        user = environ.get("OPENFAAS_USER") or "admin"
        if ":" in user:
            raise UsageError(f"OPENFAAS_USER={user!r:.80}: no user has a colon; the password is OPENFAAS_PASSWORD")
        return user, environ["OPENFAAS_PASSWORD"]
    path = _config(environ)
    if path is None:
        return "", ""
    for entry in _entries(_text_of(path)):
        if entry.get("gateway", "").rstrip("/") == url and entry.get("auth", "basic") == "basic":
            return _decoded(entry.get("token", ""), url, path)
    return "", ""


def _config(environ: Mapping[str, str]) -> Path | None:
    """Where faas-cli keeps its logins, if there is such a place."""
    if environ.get("OPENFAAS_CONFIG"):
        return places.expanded(environ["OPENFAAS_CONFIG"]) / "config.yml"
    try:
        return places.home(environ) / ".openfaas" / "config.yml"
    except UsageError:
        if environ.get("HOME"):
            raise
        return None


def _text_of(path: Path) -> str:
    """The text of faas-cli's file, "" if there is none. Raises RunError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise RunError(f"{path} has more than {MOST_BYTES:,} bytes: faas-cli has not written that")
        return data.decode()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}, the logins of faas-cli, cannot be read: {error}; or set OPENFAAS_PASSWORD") from None


def _entries(text: str) -> list[dict[str, str]]:
    """The logins in faas-cli's file. It is YAML as one program writes it, so lines `- key: value` are all of it."""
    entries: list[dict[str, str]] = []
    for line in text.splitlines():
        item = line.strip()
        name, found, value = item.removeprefix("- ").strip().partition(":")
        if not found or not name.isidentifier():
            continue
        if item.startswith("- "):
            entries.append({})
        if entries:
            entries[-1][name] = value.strip().strip("'\"")
    return entries


def _decoded(token: str, url: str, path: Path) -> tuple[str, str]:
    try:
        login = base64.b64decode(token, validate=True).decode(errors="surrogateescape")
    except (binascii.Error, ValueError):  # not ASCII
        login = ""
    user, found, password = login.partition(":")
    if not found:
        raise RunError(f"{path} has no sound login for {url}: run `faas-cli login --gateway {url}` once more")
    return user, password


def secret(given: str | None, environ: Mapping[str, str]) -> bytes:
    """The secret that calls are signed with, from the file given, else NNLITE_OPENFAAS_SECRET_FILE.

    Raises UsageError when there is none, or when it is too short.
    """
    named = given or environ.get(SECRET_FILE)
    if not named:
        raise UsageError(f"calls must be signed: secret_file=FILE (or {SECRET_FILE}), the same that the functions have")
    path, source = places.expanded(named), "secret_file " if given else f"{SECRET_FILE}="
    try:
        return checked_secret(path.read_bytes(), str(path))
    except OSError as error:
        about = "secret_file" if given else ""
        raise UsageError(f"{source}{path}: {error.strerror or error}", parameter=about) from None
