"""Signatures: only who knows the secret is heard, about this body, now."""

import base64
import json
import os
import time
from types import SimpleNamespace

import pytest

from nnlite.errors import RunError, StoreUnavailable, UsageError
from nnlite.invoker.openfaas import credentials, function, signing
from nnlite.invoker.openfaas.signing import MAX_AGE_S, SIGNATURE, TIME, Refused, check, sign

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
        (sign(SECRET, BODY, NOW) | {SIGNATURE: "half of \ud83d"}, "another secret or another body"),
        (sign(SECRET, BODY, NOW) | {TIME: "half of \ud83d"}, "another secret or another body"),
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


def test_signatures_are_compared_in_constant_time(monkeypatch):
    """How long it takes says nothing of where they differ: the standard library's comparison decides, of all bytes."""
    compared = []

    def compare(*pair):
        compared.append(pair)
        return verdict

    monkeypatch.setattr(signing.hmac, "compare_digest", compare)
    headers, verdict = sign(SECRET, BODY, NOW), False
    with pytest.raises(Refused, match="another secret or another body"):
        check(SECRET, BODY, headers, NOW)
    verdict = True
    check(SECRET, BODY, headers | {SIGNATURE: "sha256=00"}, NOW)
    assert compared == [(b, headers[SIGNATURE].encode()) for b in (headers[SIGNATURE].encode(), b"sha256=00")]


def test_a_call_s_name_is_that_of_its_repetitions_alone():
    def name(secret, body, signed_s, now_s=NOW):
        return check(secret, body, sign(secret, body, signed_s), now_s)

    names = {name(SECRET, BODY, NOW), name(b"x" * 32, BODY, NOW), name(SECRET, b"{}", NOW), name(SECRET, BODY, NOW + 1)}
    assert len(names) == 4
    assert name(SECRET, BODY, NOW, NOW + 100) == name(SECRET, BODY, NOW)
    assert name(SECRET, BODY, NOW).startswith("20270115-080000-")
    assert sign(SECRET, BODY, NOW)[SIGNATURE][7:19] not in name(SECRET, BODY, NOW)


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


def test_a_secret_is_found_in_the_home_that_everything_else_is_found_in(tmp_path, monkeypatch):
    """The environment of a service or a Dockerfile has no shell that would replace `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_bytes(b"0123456789abcdef")
    assert credentials.secret(None, {credentials.SECRET_FILE: "~/secret"}) == b"0123456789abcdef"
    assert credentials.secret("~/secret", {}) == b"0123456789abcdef"
    with pytest.raises(UsageError, match=rf"^NNLITE_OPENFAAS_SECRET_FILE={tmp_path}/nowhere: No such file"):
        credentials.secret(None, {credentials.SECRET_FILE: "~/nowhere"})
    with pytest.raises(UsageError, match=rf"^secret_file {tmp_path}/nowhere: No such file"):
        credentials.secret("~/nowhere", {})


# ---- the account at the gateway


def test_logins_are_not_looked_for_in_a_home_that_would_follow_the_shell_around(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / ".openfaas").mkdir(parents=True)
    (tmp_path / "here" / ".openfaas" / "config.yml").write_text(CONFIG)
    for home in ("here", "~"):
        with pytest.raises(UsageError, match=f"HOME={home}: wanted an absolute path"):
            credentials.account("http://127.0.0.1:8080", {"HOME": home})
        assert credentials.account("http://127.0.0.1:8080", {"HOME": home, "OPENFAAS_PASSWORD": "p"}) == ("admin", "p")


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


def test_faas_cli_s_file_is_read_in_linear_time_and_bounds(tmp_path):
    """50,000 blanks took a regular expression minutes."""
    environ = {"OPENFAAS_CONFIG": str(tmp_path)}
    config = tmp_path / "config.yml"
    for line in ("x:" + " " * 500_000 + "x", " " * 500_000 + ":", "- " * 250_000, "a" * 500_000 + ":" * 400_000):
        config.write_text(f"{line}\n{CONFIG}")
        began_s = time.process_time()
        assert credentials.account("http://127.0.0.1:8080", environ) == ("admin", "a:b")
        assert time.process_time() - began_s < 5
    config.write_text(CONFIG + " " * credentials.MOST_BYTES)
    with pytest.raises(RunError, match=r"config\.yml has more than 1,048,576 bytes"):
        credentials.account("http://127.0.0.1:8080", environ)


def test_a_login_that_cannot_be_read_is_not_none(tmp_path):
    environ = {"OPENFAAS_CONFIG": str(tmp_path)}
    assert credentials.account("http://127.0.0.1:8080", environ) == ("", "")
    (tmp_path / "config.yml").write_bytes(b"auths:\n- gateway: \xff\n")
    with pytest.raises(RunError, match=r"config\.yml, the logins of faas-cli, cannot be read: .*OPENFAAS_PASSWORD"):
        credentials.account("http://127.0.0.1:8080", environ)
    (tmp_path / "config.yml").unlink()
    (tmp_path / "config.yml").mkdir()
    with pytest.raises(RunError, match="cannot be read"):
        credentials.account("http://127.0.0.1:8080", environ)


@pytest.mark.parametrize("password", ["ä€", "a:b: c", "日本", "ß" * 300, " ", "\udcff"])
def test_passwords_travel_as_utf_8_wherever_they_come_from(password, tmp_path):
    """As curl, browsers and faas-cli send them; bytes that are no UTF-8 as they are."""
    url, sent = "http://127.0.0.1:8080", f"ädmin:{password}".encode(errors="surrogateescape")
    token = base64.b64encode(sent).decode()
    (tmp_path / "config.yml").write_text(CONFIG.replace("YWRtaW46YTpi", token))
    for environ in ({"OPENFAAS_USER": "ädmin", "OPENFAAS_PASSWORD": password}, {"OPENFAAS_CONFIG": str(tmp_path)}):
        user, found = credentials.account(url, environ)
        assert (user, found) == ("ädmin", password)
        assert credentials.basic(user, found) == f"Basic {token}"


def test_a_user_with_a_colon_would_be_another_one():
    with pytest.raises(UsageError, match="OPENFAAS_USER='me:you': no user has a colon"):
        credentials.account("http://a", {"OPENFAAS_USER": "me:you", "OPENFAAS_PASSWORD": "p"})


def test_the_gateway_s_url():
    assert credentials.gateway_url(None, {}) == "http://127.0.0.1:8080"
    assert credentials.gateway_url(None, {"OPENFAAS_URL": "https://f.example/"}) == "https://f.example"
    assert credentials.gateway_url("http://a:1", {"OPENFAAS_URL": "http://b"}) == "http://a:1"
    assert credentials.gateway_url("http://[::1]:8080/openfaas", {}) == "http://[::1]:8080/openfaas"
    for bad in (
        "localhost:8080", "http://admin:password@f.example", "ftp://x", "http://[::1", "http://a:99999", "http://a:0",
        "http://:8080", "http://bücher.example", "http://a b", "http://a\n", "http://a?x=1", "http://a#b", "http://",
        "https://me:pass/word@f.example",
    ):  # fmt: skip
        with pytest.raises(UsageError, match="wanted http://host:port") as found:
            credentials.gateway_url(bad, {})
        assert "pass" not in str(found.value).replace("without a password", "")


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
    heard = function.answer(call(headers=signing.sign(SECRET, BODY, NOW)), lambda settings, heard: heard.values)
    assert (heard["statusCode"], json.loads(heard["body"])) == (200, {"run": "r"})


@pytest.mark.parametrize(
    ("said", "unsigned"), [(None, 401), ("true", 401), ("false", 200), ("True", 400), ("no", 400), ("1", 400)]
)
def test_require_signature_is_heard(environment, monkeypatch, said, unsigned):
    """Only `false` opens a function that could do with unsigned calls, and it opens no other; a wrong signature is
    refused even there."""
    monkeypatch.setattr(function.time, "time", lambda: NOW)
    if said is not None:
        monkeypatch.setenv("require_signature", said)

    def status(may_be_unsigned, body=b"", headers=None):
        heard = function.answer(call(body, headers or {}), lambda *_: {"event": "heard"}, may_be_unsigned)
        return heard["statusCode"]

    signed = sign(SECRET, BODY, NOW)
    assert status(True) == unsigned
    assert status(False) == (400 if unsigned == 400 else 401)
    assert status(True, BODY, signed) == (400 if unsigned == 400 else 200)
    assert status(True, BODY + b" ", signed) == (400 if unsigned == 400 else 401)


NESTED = b"[" * function.MAX_BODY_BYTES


@pytest.mark.parametrize(
    "body", [b"1", b"[]", b'"x"', b"null", b"true", b"{", b"\xff\xfe", NESTED, b'{"a":' + NESTED[5:], b" " * 20_000]
)
@pytest.mark.parametrize("signed", [True, False])
def test_a_body_that_cannot_be_meant_is_one_line(environment, monkeypatch, body, signed):
    monkeypatch.setattr(function.time, "time", lambda: NOW)
    monkeypatch.setenv("require_signature", "false")
    headers = sign(SECRET, body, NOW) if signed else {}
    answer = function.answer(call(body, headers), lambda *_: pytest.fail("was heard"), may_be_unsigned=True)
    values = json.loads(answer["body"])
    assert (answer["statusCode"], values["event"], values["kind"]) == (400, "error", "UsageError")
    assert values["message"].startswith("the call's body")
    assert len(values["message"]) < 200
    assert "\n" not in values["message"]


def test_nothing_is_parsed_before_size_and_signature_are_right(environment, monkeypatch):
    monkeypatch.setattr(function.time, "time", lambda: NOW)
    monkeypatch.setattr(function, "parse", lambda *_: pytest.fail("was parsed"))
    for body, headers in ((b"{}", {}), (b"{}", sign(b"x" * 32, b"{}", NOW)), (b"{}" + b" " * 30_000_000, {})):
        assert function.answer(call(body, headers), lambda *_: {})["statusCode"] in (400, 401)


def test_a_function_without_its_secret_says_so(environment, monkeypatch):
    os.unlink(environment / "nnlite-hmac")
    answer = function.answer(call(), lambda *_: {})
    assert answer["statusCode"] == 500
    message = json.loads(answer["body"])["message"]
    assert f"({environment / 'nnlite-hmac'}: No such file or directory)" in message
    assert "`faas-cli secret create nnlite-hmac --from-file FILE`" in message


@pytest.mark.parametrize("fault", ["a folder", "a loop"])
def test_why_a_secret_that_is_there_cannot_be_read_is_in_the_system_s_words(fault, environment):
    """To make it would be no help: it is there."""
    path = environment / "nnlite-hmac"
    path.unlink()
    path.mkdir() if fault == "a folder" else path.symlink_to(path)
    message = json.loads(function.answer(call(), lambda *_: {})["body"])["message"]
    says = "Is a directory" if fault == "a folder" else "Too many levels of symbolic links"
    assert f"({path}: {says})" in message
    assert "secret create" not in message


def test_durations_as_go_writes_them():
    assert [function.duration_s(t) for t in ("90s", "5m", "1h30m", "1.5s", "250ms")] == [90, 300, 5400, 1.5, 0.25]
    for bad in ("", "5", "m", "5 m", "-5s", "5d"):
        with pytest.raises(UsageError, match="wanted one like 90s"):
            function.duration_s(bad)
