"""Signatures: only who knows the secret is heard, about this body, now."""

import json
import os
from types import SimpleNamespace

import pytest

from nnlite.errors import RunError, StoreUnavailable, UsageError
from nnlite.platform.openfaas import credentials, function, signing
from nnlite.platform.openfaas.signing import MAX_AGE_S, SIGNATURE, TIME, Refused, check, sign

SECRET, BODY, NOW = b"0123456789abcdef0123456789abcdef", b'{"run": "r"}', 1_800_000_000.0


def test_what_is_signed_is_heard():
    check(SECRET, BODY, sign(SECRET, BODY, NOW), NOW)
    check(SECRET, BODY, sign(SECRET, BODY, NOW), NOW + MAX_AGE_S - 1)
    check(SECRET, b"", sign(SECRET, b"", NOW), NOW - MAX_AGE_S + 1)


def test_the_form_of_a_signature_does_not_change():
    """Golden: both sides may be of different versions."""
    assert sign(b"k" * 32, b"body", 1_700_000_000.4) == {
        "X-Nnlite-Time": "1700000000",
        "X-Nnlite-Signature": "sha256=dc52a6f0973dde3306080e660b1393b063fb56de522b388a52a152c1aa5917b6",
    }


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "not signed"),
        ({TIME: f"{NOW:.0f}"}, "not signed"),
        (sign(SECRET, BODY, NOW) | {SIGNATURE: "sha256=00"}, "another secret or another body"),
        (sign(SECRET, BODY, NOW) | {SIGNATURE: "ümlaut"}, "another secret or another body"),
        (sign(b"x" * 32, BODY, NOW), "another secret or another body"),
        (sign(SECRET, BODY + b" ", NOW), "another secret or another body"),
        (sign(SECRET, BODY, NOW) | {TIME: f"{NOW + 1:.0f}"}, "another secret or another body"),
        (sign(SECRET, BODY, NOW - MAX_AGE_S - 1), "stale"),
        (sign(SECRET, BODY, NOW + MAX_AGE_S + 1), "stale"),
        (sign(SECRET, BODY, float("nan")), "stale"),
    ],
)
def test_what_is_refused(headers, why):
    with pytest.raises(Refused, match=why):
        check(SECRET, BODY, headers, NOW)


def test_a_secret_must_not_be_guessed(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"0123456789abcdef\n")
    assert credentials.secret(str(path), {}) == b"0123456789abcdef"
    assert credentials.secret(None, {credentials.SECRET_FILE: str(path)}) == b"0123456789abcdef"
    path.write_bytes(b"short\n")
    with pytest.raises(UsageError, match="has 5 bytes, expected at least 16"):
        credentials.secret(str(path), {})
    with pytest.raises(UsageError, match="No such file"):
        credentials.secret(str(tmp_path / "nowhere"), {})
    with pytest.raises(UsageError, match="calls must be signed"):
        credentials.secret(None, {})


# ---- the account at the gateway


CONFIG = """auths:
- gateway: http://10.0.0.1:8080
  auth: basic
  token: b3RoZXI6eA==
- gateway: http://127.0.0.1:8080
  auth: basic
  token: YWRtaW46YTpi
  options: []
"""


def test_the_account_is_of_the_environment_or_of_faas_cli(tmp_path):
    url = "http://127.0.0.1:8080"
    assert credentials.account(url, {"OPENFAAS_PASSWORD": "p"}) == ("admin", "p")
    assert credentials.account(url, {"OPENFAAS_PASSWORD": "p", "OPENFAAS_USER": "me"}) == ("me", "p")
    home = {"HOME": str(tmp_path)}
    assert credentials.account(url, home) == ("", "")
    (tmp_path / ".openfaas").mkdir()
    (tmp_path / ".openfaas" / "config.yml").write_text(CONFIG)
    assert credentials.account(url, home) == ("admin", "a:b")
    assert credentials.account(url, {"OPENFAAS_CONFIG": str(tmp_path / ".openfaas")}) == ("admin", "a:b")
    assert credentials.account("http://elsewhere", home) == ("", "")
    (tmp_path / ".openfaas" / "config.yml").write_text(CONFIG.replace("YWRtaW46YTpi", "!"))
    with pytest.raises(RunError, match=r"no sound login for http://127\.0\.0\.1:8080: run `faas-cli login"):
        credentials.account(url, home)


def test_the_gateway_s_url():
    assert credentials.gateway_url(None, {}) == "http://127.0.0.1:8080"
    assert credentials.gateway_url(None, {"OPENFAAS_URL": "https://f.example/"}) == "https://f.example"
    assert credentials.gateway_url("http://a:1", {"OPENFAAS_URL": "http://b"}) == "http://a:1"
    for bad in ("localhost:8080", "http://admin:password@f.example", "ftp://x"):
        with pytest.raises(UsageError, match="wanted http://host:port"):
            credentials.gateway_url(bad, {})


# ---- inside a function


@pytest.fixture
def environment(monkeypatch, tmp_path):
    (tmp_path / "nnlite-hmac").write_bytes(SECRET)
    monkeypatch.setenv("secret_mount_path", str(tmp_path))
    return tmp_path


def call(body=BODY, headers=None):
    return SimpleNamespace(body=body, headers=sign(SECRET, body, NOW) if headers is None else headers)


@pytest.mark.parametrize(
    ("error", "status", "event"),
    [
        (UsageError("x"), 400, "error"),
        (RunError("x"), 500, "error"),
        (StoreUnavailable("x"), 503, "unavailable"),
        (ZeroDivisionError("x"), 500, "error"),
    ],
)
def test_every_end_of_a_call_is_an_answer_in_json(environment, monkeypatch, error, status, event):
    def work(settings, values):
        raise error

    monkeypatch.setattr(function.time, "time", lambda: NOW)
    answer = function.answer(call(), work)
    values = json.loads(answer["body"])
    assert (answer["statusCode"], values["event"]) == (status, event)
    assert "x" in values["message"]


def test_the_unsigned_are_refused_before_anything_is_done(environment, monkeypatch):
    monkeypatch.setattr(function.time, "time", lambda: NOW)
    for headers in ({}, sign(b"x" * 32, BODY, NOW), sign(SECRET, BODY, NOW - 2 * MAX_AGE_S)):
        assert function.answer(call(headers=headers), lambda *_: pytest.fail("was heard"))["statusCode"] == 401
    heard = function.answer(call(headers=signing.sign(SECRET, BODY, NOW)), lambda settings, values: values)
    assert (heard["statusCode"], json.loads(heard["body"])) == (200, {"run": "r"})
    assert function.answer(call(b"\n", {}), lambda settings, values: values, signed=False)["body"] == "{}"
    assert function.answer(call(b"{", {}), lambda settings, values: values, signed=False)["statusCode"] == 400


def test_a_function_without_its_secret_says_so(environment, monkeypatch):
    os.unlink(environment / "nnlite-hmac")
    answer = function.answer(call(), lambda *_: {})
    assert answer["statusCode"] == 500
    assert "the function has no secret 'nnlite-hmac'" in json.loads(answer["body"])["message"]


def test_durations_as_go_writes_them():
    assert [function.duration_s(t) for t in ("90s", "5m", "1h30m", "1.5s", "250ms")] == [90, 300, 5400, 1.5, 0.25]
    for bad in ("", "5", "m", "5 m", "-5s", "5d"):
        with pytest.raises(UsageError, match="wanted one like 90s"):
            function.duration_s(bad)
