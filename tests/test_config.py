"""Settings: what is taken, what is refused, and that a refusal names the setting in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import limits
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import config, environment
from chat.config import Settings, SettingsError, from_environment
from chat.environment import RATE
from tests import servers

STRONG = "0123456789abcdef0123456789abcdef"
DEVELOPMENT = {
    "CHAT_ENV": "development",
    "OKTA_OAUTH2_ISSUER": "https://id.example.com/oauth2/default",
    "OKTA_OAUTH2_CLIENT_ID": "chat",
    "OKTA_OAUTH2_CLIENT_SECRET": "a secret of the provider's own making",
}
PRODUCTION = {
    **DEVELOPMENT,
    "CHAT_ENV": "production",
    "PUBLIC_URL": "https://chat.example.com",
    "SECRET_KEY": STRONG,
}


def read(base: Mapping[str, str] = DEVELOPMENT, /, **environ: str | None) -> Settings:
    """Settings from an environment; None takes one away."""
    given = {**base, **environ}
    return from_environment({name: value for name, value in given.items() if value is not None})


def refusal(base: Mapping[str, str] = DEVELOPMENT, /, **environ: str | None) -> str:
    with pytest.raises(SettingsError) as refused:
        read(base, **environ)
    return str(refused.value)


# What holds where nothing is said


def test_what_development_starts_with() -> None:
    settings = read()
    assert settings == replace(
        settings,
        chat_env="development",
        port=5000,
        public_url="http://localhost:5000",
        url_from_host=False,
        okta_oauth2_scopes="openid profile email",
        allowed_groups=frozenset(),
        database_url=f"sqlite:///{config.ROOT}/instance/chat.db",
        redis_url=None,
        trusted_proxies=0,
        session_hours=168,
        session_idle_hours=24,
        rate_messages="10 per 10 seconds",
        max_body_chars=4_000,
        max_frame_bytes=65_536,
        max_sockets_per_user=20,
        metrics_token=None,
        tls=None,
        tls_extra_sans=(),
        tls_cert_file=None,
        tls_key_file=None,
        redirect_port=None,
        web_concurrency=1,
    )
    assert (settings.development, settings.serves_tls, settings.secure) == (True, False, False)
    assert settings.store_is_sqlite


def test_a_key_made_up_in_development_is_new_each_time() -> None:
    first, second = read().secret_key, read().secret_key
    assert first != second
    assert len(first) == 64


def test_what_production_starts_with() -> None:
    settings = read(PRODUCTION)
    assert (settings.port, settings.public_url) == (8080, "https://chat.example.com")
    assert (settings.development, settings.secure) == (False, True)


def test_production_is_what_one_gets_without_asking() -> None:
    assert read(PRODUCTION, CHAT_ENV=None).chat_env == "production"
    assert "PUBLIC_URL" in refusal(CHAT_ENV=None)


NEEDED = ["OKTA_OAUTH2_ISSUER", "OKTA_OAUTH2_CLIENT_ID", "OKTA_OAUTH2_CLIENT_SECRET"]


@pytest.mark.parametrize("name", [*NEEDED, "PUBLIC_URL", "SECRET_KEY"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_production_does_not_start_without(name: str, value: str | None) -> None:
    assert refusal(PRODUCTION, **{name: value}).startswith(name)


@pytest.mark.parametrize("name", NEEDED)
def test_no_secret_has_a_default_in_development_either(name: str) -> None:
    assert refusal(**{name: None}).startswith(name)


# Each by its type

TAKEN: list[tuple[str, str, Any]] = [
    ("PORT", "1", 1),
    ("PORT", "65535", 65_535),
    ("PORT", " 8080 ", 8_080),
    ("OKTA_OAUTH2_SCOPES", "openid  groups", "openid groups"),
    ("ALLOWED_GROUPS", "chat, all staff ,,", frozenset({"chat", "all staff"})),
    ("ALLOWED_GROUPS", "", frozenset()),
    ("DATABASE_URL", "sqlite:////tmp/chat.db", "sqlite:////tmp/chat.db"),
    ("DATABASE_URL", "postgresql+psycopg://u:p@db/chat", "postgresql+psycopg://u:p@db/chat"),
    ("REDIS_URL", "redis://cache:6379/0", "redis://cache:6379/0"),
    ("REDIS_URL", "rediss://cache/1", "rediss://cache/1"),
    ("REDIS_URL", "redis://:a%40b%3Ac@[::1]:6379", "redis://:a%40b%3Ac@[::1]:6379"),
    ("REDIS_URL", "", None),
    ("TRUSTED_PROXIES", "2", 2),
    ("SESSION_HOURS", "0.5", 0.5),
    ("SESSION_IDLE_HOURS", "8784", 8_784.0),
    ("RATE_MESSAGES", "5/second", "5/second"),
    ("RATE_MESSAGES", "", ""),
    ("RATE_EVENTS", "", ""),
    ("RATE_SIGN_IN", " 3 per 2 hours ", "3 per 2 hours"),
    ("MAX_BODY_CHARS", "1", 1),
    ("MAX_FRAME_BYTES", "1024", 1_024),
    ("MAX_FRAMES_PER_SECOND", "1", 1),
    ("MAX_SOCKETS", "1", 1),
    ("MAX_STRANGERS", "1", 1),
    ("MAX_SOCKETS_PER_USER", "1", 1),
    ("METRICS_TOKEN", STRONG, STRONG),
    ("URL_FROM_HOST", "0", False),
    ("TLS", "self-signed", "self-signed"),
    ("TLS", "", None),
    ("TLS_EXTRA_SANS", "", ()),
    (
        "TLS_EXTRA_SANS",
        "chat.internal, *.example.com,10.0.0.7,2001:db8::1,",
        ("chat.internal", "*.example.com", "10.0.0.7", "2001:db8::1"),
    ),
    ("WEB_CONCURRENCY", "1", 1),
    ("REDIRECT_PORT", "80", 80),
    ("REDIRECT_PORT", "", None),
]


@pytest.mark.parametrize(("name", "text", "value"), TAKEN)
def test_is_taken(name: str, text: str, value: Any) -> None:
    assert getattr(read(**{name: text}), name.lower()) == value


REFUSED: dict[str, list[str]] = {
    "CHAT_ENV": ["dev", "Production", "test"],
    "PORT": ["0", "65536", "-1", "http", "1.5", "9" * 5_000, "٣"],
    "OKTA_OAUTH2_SCOPES": ["profile email", "OPENID", "openidprofile"],
    "DATABASE_URL": [
        *["chat.db", "sqlite://", "sqlite:///:memory:", "sqlite:///?mode=memory"],
        *[
            "sqlite:////no/such/folder/chat.db",
            "postgresql://u:p@db/chat",
            "postgres://db/chat",
            "mysql://db/chat",
            "postgresql+psycopg://u:a@b:c@db/chat",
            "postgresql+psycopg://u:a/b@db/chat",
        ],
    ],
    "REDIS_URL": [
        *["cache:6379", "http://cache", "memory://"],
        *["redis://:a/b@cache:6379", "redis://:a@b@cache", "redis://:a:b@cache", "redis://[::1"],
    ],
    "TRUSTED_PROXIES": ["-1", "true", "10.0.0.1"],
    "SESSION_HOURS": ["0", "-1", "a day", "nan", "inf", "8785"],
    "SESSION_IDLE_HOURS": ["0", "-1", "1h", "nan", "1e99"],
    "RATE_MESSAGES": ["10", "ten per second", "0 per second", "10 per 0 seconds", "1 per ſecond"],
    "RATE_EVENTS": ["10 per second; 1 per day", "10 per", "-1 per second", "1.5 per second"],
    "RATE_SIGN_IN": ["none", "10 per seconds!", "per second"],
    "MAX_BODY_CHARS": ["0", "-1", "4k"],
    "MAX_FRAME_BYTES": ["0", "1023", "64K"],
    "MAX_FRAMES_PER_SECOND": ["0", "many"],
    "MAX_SOCKETS": ["0", "many"],
    "MAX_STRANGERS": ["0", "many"],
    "MAX_SOCKETS_PER_USER": ["0", "many"],
    "METRICS_TOKEN": ["short", "a" * 64],
    "REDIRECT_PORT": ["0", "65536", "http", "5000"],
    "URL_FROM_HOST": ["yes", "true", "2", "1"],
    "TLS": ["1", "yes", "Self-Signed", "selfsigned"],
    "TLS_EXTRA_SANS": ["a b", "https://a.example", "a.example:443", "fe80::1%eth0", "a,,b/c"],
    "WEB_CONCURRENCY": ["0", "-1", "two", "2"],
    "OKTA_OAUTH2_ISSUER": [
        *["id.example.com", "ftp://id.example.com", "https://", "https:///oauth2", "https:id"],
        *["https://id.example.com/?x=1", "https://id.example.com/#x", "https://[::1"],
    ],
    "PUBLIC_URL": [
        *["chat.example.com", "ftp://chat.example.com", "https://", "//chat.example.com"],
        *["https://chat.example.com/chat", "https://chat.example.com/?x=1"],
        *[
            "https://chat.example.com#x",
            "https://chat.example.com:port",
            "https://chat example.com",
        ],
        *["https://chat.example.com:65536", "https://[::1", "https://me:pw@chat.example.com"],
    ],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts]
)
def test_is_refused_in_one_line_that_names_it(name: str, text: str) -> None:
    told = refusal(**{name: text})
    assert name in told
    assert "\n" not in told


def test_every_setting_is_in_these_tables() -> None:
    """Whoever adds one must say here what it takes."""
    tested = {name for name, _, _ in TAKEN} | set(REFUSED)
    elsewhere = {*NEEDED, "SECRET_KEY", "TLS_CERT_FILE", "TLS_KEY_FILE"}
    assert {field.name.upper() for field in fields(Settings)} == tested | elsewhere


@pytest.mark.parametrize("name", sorted(environment.SECRETS))
@pytest.mark.parametrize(
    "value", ["hunter2", "redis://:hunter2/x@h:1", "postgresql+psycopg://u:p@ss:hunter2@h/d"]
)
def test_a_refusal_does_not_tell_a_secret(name: str, value: str) -> None:
    assert "hunter2" not in refusal_or_nothing(name, value)


def refusal_or_nothing(name: str, value: str) -> str:
    try:
        read(PRODUCTION, **{name: value})
    except SettingsError as refused:
        return str(refused)
    return ""


# Secrets


@pytest.mark.parametrize("name", ["SECRET_KEY", "METRICS_TOKEN"])
@pytest.mark.parametrize(
    "value", ["secret", "0123456789abcdef0123456789abcde", "a" * 64, "ab" * 32]
)
def test_production_wants_a_strong(name: str, value: str) -> None:
    told = refusal(PRODUCTION, **{name: value})
    assert told.startswith(name)
    assert "openssl rand -hex 32" in told
    assert value not in told


@pytest.mark.parametrize("name", sorted(environment.SECRETS))
def test_a_secret_can_come_from_a_file(name: str, tmp_path: Path) -> None:
    value = {
        "DATABASE_URL": "postgresql+psycopg://u:p@db/chat",
        "REDIS_URL": "redis://cache",
    }.get(name, STRONG)
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")
    settings = read(PRODUCTION, **{name: None, f"{name}_FILE": str(file)})
    assert getattr(settings, name.lower()) == value


def test_a_secret_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(STRONG)
    told = refusal(PRODUCTION, SECRET_KEY_FILE=str(file))
    assert "SECRET_KEY and SECRET_KEY_FILE" in told


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "missing", tmp_path, binary):
        told = refusal(PRODUCTION, SECRET_KEY=None, SECRET_KEY_FILE=str(file))
        assert told.startswith("SECRET_KEY_FILE")
        assert "\n" not in told


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("\n")
    assert "SECRET_KEY" in refusal(PRODUCTION, SECRET_KEY=None, SECRET_KEY_FILE=str(file))


def test_what_is_no_secret_is_in_no_file(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("6000")
    assert read(PORT_FILE=str(file)).port == 5000


# Okta's own file


@pytest.fixture
def okta_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.okta.env` beside the app, with nothing in the environment."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    for name in {*DEVELOPMENT, "SECRET_KEY", "PUBLIC_URL"}:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".okta.env"


def test_what_the_okta_cli_wrote_is_read(okta_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    okta_env.write_text(
        "export OKTA_OAUTH2_ISSUER=https://dev-1.okta.com/oauth2/default\n"
        'export OKTA_OAUTH2_CLIENT_ID="0oa1"\n'
        "export OKTA_OAUTH2_CLIENT_SECRET='s3cret'\n"
    )
    monkeypatch.setenv("CHAT_ENV", "development")
    settings = from_environment()
    assert settings.okta_oauth2_issuer == "https://dev-1.okta.com/oauth2/default"
    assert settings.okta_oauth2_client_id == "0oa1"
    assert settings.okta_oauth2_client_secret == "s3cret"


def test_the_environment_goes_above_it(okta_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    okta_env.write_text("\n".join(f"{name}={value}" for name, value in DEVELOPMENT.items()))
    monkeypatch.setenv("OKTA_OAUTH2_CLIENT_ID", "another")
    settings = from_environment()
    assert settings.okta_oauth2_client_id == "another"
    assert settings.okta_oauth2_issuer == DEVELOPMENT["OKTA_OAUTH2_ISSUER"]


def test_without_it_the_environment_is_all_there_is(
    okta_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not okta_env.exists()
    monkeypatch.setenv("CHAT_ENV", "development")
    with pytest.raises(SettingsError, match="OKTA_OAUTH2_ISSUER"):
        from_environment()


# Addresses


@pytest.mark.parametrize(
    "domain", ["dev-1.okta.com", "https://dev-1.okta.com", "https://dev-1.okta.com/"]
)
def test_a_domain_means_its_default_issuer(domain: str) -> None:
    settings = read(OKTA_OAUTH2_ISSUER=None, OKTA_DOMAIN=domain)
    assert settings.okta_oauth2_issuer == "https://dev-1.okta.com/oauth2/default"


def test_an_issuer_goes_above_a_domain() -> None:
    settings = read(OKTA_DOMAIN="dev-1.okta.com")
    assert settings.okta_oauth2_issuer == DEVELOPMENT["OKTA_OAUTH2_ISSUER"]


@pytest.mark.parametrize(
    "domain",
    ["http://dev-1.okta.com", "dev-1.okta.com/oauth2/default", "dev 1", "https://", "ftp://okta"],
)
def test_what_is_no_domain_is_refused(domain: str) -> None:
    assert "OKTA_DOMAIN" in refusal(OKTA_OAUTH2_ISSUER=None, OKTA_DOMAIN=domain)


@pytest.mark.parametrize(
    "given",
    [
        {"OKTA_DOMAIN": "dev-1-admin.okta.com"},
        {"OKTA_DOMAIN": "https://dev-1-admin.okta.com"},
        {"OKTA_DOMAIN": "dev-1-ADMIN.okta.com"},
        {"OKTA_OAUTH2_ISSUER": "https://dev-1-admin.okta.com/oauth2/default"},
    ],
    ids=str,
)
def test_the_admin_console_is_refused_with_the_reason(given: dict[str, str]) -> None:
    told = refusal(**{"OKTA_OAUTH2_ISSUER": None, **given})
    assert "OKTA_DOMAIN" in told
    assert "admin console" in told


def test_an_issuer_is_https_but_on_a_laptop() -> None:
    plain = "http://127.0.0.1:9400"
    assert read(OKTA_OAUTH2_ISSUER=plain).okta_oauth2_issuer == plain
    assert refusal(PRODUCTION, OKTA_OAUTH2_ISSUER=plain).startswith("OKTA_OAUTH2_ISSUER")


def test_the_public_url_is_https_but_on_a_laptop() -> None:
    plain = "http://chat.example.com"
    assert read(PUBLIC_URL=plain).public_url == plain
    assert refusal(PRODUCTION, PUBLIC_URL=plain).startswith("PUBLIC_URL")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://chat.example.com/", "https://chat.example.com"),
        ("HTTPS://Chat.Example.COM", "https://chat.example.com"),
        ("https://chat.example.com:443", "https://chat.example.com"),
        ("https://chat.example.com:8443/", "https://chat.example.com:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_the_public_url_is_written_as_browsers_write_an_origin(url: str, origin: str) -> None:
    assert read(PUBLIC_URL=url).public_url == origin


def test_another_port_is_part_of_the_address() -> None:
    assert read(PORT="5005").public_url == "http://localhost:5005"


# TLS


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    paths = {"TLS_CERT_FILE": tmp_path / "chat.crt", "TLS_KEY_FILE": tmp_path / "chat.key"}
    for path in paths.values():
        path.touch()
    return {name: str(path) for name, path in paths.items()}


def test_a_certificate_and_its_key_make_it_https(pair: dict[str, str]) -> None:
    settings = read(**pair)
    assert settings.serves_tls
    assert settings.public_url == "https://localhost:5000"
    assert settings.redirect_port is None


@pytest.mark.parametrize("missing", ["TLS_CERT_FILE", "TLS_KEY_FILE"])
def test_a_certificate_and_its_key_go_together(pair: dict[str, str], missing: str) -> None:
    assert missing in refusal(**{**pair, missing: None})


@pytest.mark.parametrize("missing", ["TLS_CERT_FILE", "TLS_KEY_FILE"])
def test_a_certificate_and_its_key_must_be_there(pair: dict[str, str], missing: str) -> None:
    Path(pair[missing]).unlink()
    assert refusal(**pair).startswith(missing)


def test_a_certificate_serves_no_plain_address(pair: dict[str, str]) -> None:
    assert "PUBLIC_URL" in refusal(**pair, PUBLIC_URL="http://localhost:5000")


def test_production_over_tls_has_two_ports(pair: dict[str, str]) -> None:
    for tls in (pair, {"TLS": "self-signed"}):
        settings = read(PRODUCTION, **tls)
        assert (settings.port, settings.redirect_port) == (8443, 8080)
    moved = read(PRODUCTION, TLS="self-signed", PORT="443", REDIRECT_PORT="80")
    assert (moved.port, moved.redirect_port) == (443, 80)


def test_two_ports_are_two() -> None:
    told = refusal(PRODUCTION, TLS="self-signed", PORT="8080")
    assert "REDIRECT_PORT=8080 (its default) is PORT too" in told


@pytest.mark.parametrize("name", ["TLS_CERT_FILE", "TLS_KEY_FILE"])
def test_a_certificate_is_given_or_made(pair: dict[str, str], name: str) -> None:
    assert "keep one" in refusal(TLS="self-signed", **{name: pair[name]})


def test_a_certificate_made_here_speaks_for_these() -> None:
    own = ["localhost", "127.0.0.1", "::1"]
    settings = read(PRODUCTION, TLS="self-signed", TLS_EXTRA_SANS="10.0.0.7,localhost")
    assert settings.certificate_hosts == ["chat.example.com", "10.0.0.7", *own]
    nowhere = read(PRODUCTION, TLS="self-signed", URL_FROM_HOST="1", PUBLIC_URL=None)
    assert nowhere.certificate_hosts == own


# The address out of each request


def test_the_address_may_come_from_each_request() -> None:
    settings = read(PRODUCTION, TLS="self-signed", URL_FROM_HOST="1", PUBLIC_URL=None)
    assert (settings.public_url, settings.secure) == (None, True)
    assert settings.origin("192.0.2.7") == "https://192.0.2.7"
    assert settings.origin("chat.example.com") is None


def test_else_it_never_does() -> None:
    assert read(PRODUCTION).origin("192.0.2.7") == "https://chat.example.com"


def test_an_address_is_told_once() -> None:
    assert "keep one" in refusal(PRODUCTION, TLS="self-signed", URL_FROM_HOST="1")


def test_an_address_from_a_request_means_tls() -> None:
    assert "URL_FROM_HOST needs TLS" in refusal(PRODUCTION, URL_FROM_HOST="1", PUBLIC_URL=None)


# Several processes


def test_several_processes_need_a_bus() -> None:
    assert "REDIS_URL" in refusal(WEB_CONCURRENCY="2")
    assert read(WEB_CONCURRENCY="2", REDIS_URL="redis://cache").web_concurrency == 2


# All that is wrong, at once


def test_every_problem_is_told_once() -> None:
    wrong = {**PRODUCTION, "PORT": "http", "SECRET_KEY": "secret", "TLS": "self-signed"}
    told = config.problems({**wrong, "REDIS_URL": "cache"})
    assert len(told) == 3
    for name, line in zip(("PORT", "SECRET_KEY", "REDIS_URL"), told, strict=True):
        assert line.startswith(name)


def test_no_problem_is_told_where_there_is_none() -> None:
    assert config.problems(PRODUCTION) == []


# Rates


@given(st.from_regex(RATE, fullmatch=True))
def test_whatever_rate_is_taken_the_library_takes_too(text: str) -> None:
    rate = limits.parse(read(RATE_MESSAGES=text).rate_messages)
    assert rate.amount >= 1
    assert rate.get_expiry() >= 1


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("10 per 10 seconds", 10, 10),
        ("1/second", 1, 1),
        ("100 PER 5 Minutes", 100, 300),
        ("2 per hour", 2, 3_600),
        ("7 / 1 day", 7, 86_400),
    ],
)
def test_a_rate_means_what_it_says(text: str, amount: int, seconds: int) -> None:
    rate = limits.parse(read(RATE_EVENTS=text).rate_events)
    assert (rate.amount, rate.get_expiry()) == (amount, seconds)


# As an operator sees it

BAD: list[tuple[str, dict[str, str]]] = [
    ("OKTA_OAUTH2_ISSUER", {"OKTA_OAUTH2_ISSUER": ""}),
    ("PORT", {"PORT": "http"}),
    ("PUBLIC_URL", {"PUBLIC_URL": "https://chat.example.com:65536"}),
]


@pytest.mark.parametrize(("name", "bad"), BAD, ids=[name for name, _ in BAD])
def test_a_bad_setting_is_one_line_and_no_start(
    name: str, bad: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
        cwd=servers.ROOT,
        env={**DEVELOPMENT, "HOME": str(tmp_path), "DATABASE_URL": "sqlite:////nowhere", **bad},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("chat: ")
    assert name in done.stderr
