"""`flask doctor`: each mistake is made in turn, and must be named, with its mend and an exit code.

The checks run in this process, where nothing is patched, against real parts. The command itself is
run as an operator runs it, above all where nothing else would start.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Response, jsonify
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from chat import tls
from chat.config import from_environment
from chat.doctor import address, checks, command, store, surroundings, uris, web
from chat.doctor.finding import Case, Level
from chat.extensions import db
from tests import inside as inside_
from tests import servers
from tests.inside import Inside
from tests.provider import Client, Deviation, Provider
from tests.servers import ROOT, App, Redis, Serve

FLASK = str(Path(sys.executable).with_name("flask"))
PUBLIC_URL = "http://localhost:5999"  # nobody's: what is registered at the provider
PRODUCTION = {
    "PUBLIC_URL": "https://chat.example.com",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "OKTA_OAUTH2_ISSUER": "https://id.example.com/oauth2/default",
    "OKTA_OAUTH2_CLIENT_ID": "chat",
    "OKTA_OAUTH2_CLIENT_SECRET": "a secret of the provider's own making",
    "DATABASE_URL": "postgresql+psycopg://chat@db.example.com/chat",
    "MAX_SOCKETS": "10",
    "MAX_STRANGERS": "1",
    "TRUSTED_PROXIES": "1",
}
DEMO = {"PUBLIC_URL": "", "URL_FROM_HOST": "1", "TLS": "self-signed", "TRUSTED_PROXIES": "0"}


@dataclass(frozen=True)
class Told:
    """What the doctor said, and its exit code."""

    text: str
    code: int

    def of(self, check: str) -> str:
        """What it said of one check, mends included."""
        pattern = rf"^(?:ok  |warn|FAIL|skip)  {re.escape(check)}(?:\n|: .*\n(?:      .*\n)*)"
        return "".join(re.findall(pattern, self.text, re.MULTILINE))


@pytest.fixture
def client(provider: Provider) -> Client:
    return provider.register(PUBLIC_URL)


@pytest.fixture
def sound(provider: Provider, client: Client, tmp_path: Path) -> dict[str, str]:
    """Settings with which nothing is wrong."""
    return {
        "CHAT_ENV": "development",
        "PUBLIC_URL": PUBLIC_URL,
        "OKTA_OAUTH2_ISSUER": provider.issuer,
        "OKTA_OAUTH2_CLIENT_ID": client.id,
        "OKTA_OAUTH2_CLIENT_SECRET": client.secret,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'chat.db'}",
    }


@pytest.fixture(autouse=True)
def bare_metal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever these tests run: not in a container, as far as the doctor can see."""
    monkeypatch.setattr(surroundings, "MARKS", (tmp_path / "mark",))
    monkeypatch.delenv(surroundings.ON_ECS, raising=False)


def examine(*environs: Mapping[str, str], quick: bool = False) -> Told:
    lines: list[str] = []
    environ = {name: value for given in environs for name, value in given.items()}
    code = command.examine(lines.append, environ, quick=quick)
    return Told("\n".join(lines) + "\n", code)


def run(environ: Mapping[str, str], tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command as an operator types it, in the project's folder."""
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        argv,
        cwd=ROOT,
        env={**bare, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Where all is well


def test_a_sound_service_is_told_to_be_so(
    provider: Provider, serve: Serve, redis: Redis, postgres_url: str, tmp_path: Path
) -> None:
    """As it is typed: with real parts, all of them there, each looked at."""
    app = serve(provider, REDIS_URL=redis.url, DATABASE_URL=postgres_url)
    done = run(app.environ, tmp_path, FLASK, "doctor")
    app.stop()  # before its store is dropped
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Nothing is wrong." in done.stdout
    looked_at = re.findall(r"^ok    (.*)$", done.stdout, re.MULTILINE)
    network = ["provider", "clock", "issuer", "client", "redirect URI", "store", "schema", "bus"]
    assert looked_at == ["settings", "proxies", "processes", *network, "address"]
    assert f"Sign-in redirect URI   {app.url}/authorization-code/callback\n" in done.stdout
    assert f"Sign-out redirect URI  {app.url}/\n" in done.stdout


def test_a_sound_laptop_is_told_to_be_so(sound: dict[str, str]) -> None:
    told = examine(sound)
    assert (told.code, "Nothing is wrong." in told.text) == (0, True), told.text
    assert "REDIS_URL is not set" in told.of("bus")
    assert not Path(sound["DATABASE_URL"].removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize("more", [{}, {"PUBLIC_URL": "https://10.0.0.7", "TLS": "self-signed"}])
def test_sound_production_is_told_to_be_so(more: dict[str, str]) -> None:
    told = examine(PRODUCTION, more, {"TRUSTED_PROXIES": "0"} if more else {}, quick=True)
    assert (told.code, "Nothing is wrong." in told.text) == (0, True), told.text


def test_what_to_enter_is_what_the_app_serves() -> None:
    app = inside_.make_app(inside_.settings("sqlite:////tmp/nowhere.db"))
    with app.test_request_context():
        assert app.url_for("auth.callback") == uris.CALLBACK
        assert app.url_for("pages.home") == uris.HOME


def test_where_the_address_is_not_known_yet_that_is_said() -> None:
    told = examine(PRODUCTION, DEMO, {"PORT": "443"}, quick=True)
    assert "https://<the task's IP address>/authorization-code/callback" in told.text
    assert "make url" in told.text


# Settings: those of an operator's day; tests/test_config.py has them all

SETTINGS: list[tuple[str, dict[str, str], str]] = [
    ("-admin domain", {"OKTA_OAUTH2_ISSUER": "https://dev-1-admin.okta.com"}, "out '-admin'"),
    ("no client id", {"OKTA_OAUTH2_CLIENT_ID": ""}, "OKTA_OAUTH2_CLIENT_ID is not set\n .* → the"),
    ("no secret", {"OKTA_OAUTH2_CLIENT_SECRET": ""}, "CLIENT_SECRET is not set\n .* → the app's"),
    ("no issuer", {"OKTA_OAUTH2_ISSUER": ""}, "OKTA_OAUTH2_ISSUER is not set.*\n .* → set OKTA_DO"),
    ("http PUBLIC_URL", {"PUBLIC_URL": "http://chat.example.com"}, "PUBLIC_URL must be https"),
    (
        "http PUBLIC_URL behind TLS",
        {"CHAT_ENV": "development", "PUBLIC_URL": "http://localhost", "TLS": "self-signed"},
        "PUBLIC_URL=http://localhost is http, but this service speaks TLS: make it https",
    ),
    ("no PUBLIC_URL", {"PUBLIC_URL": ""}, "PUBLIC_URL is not set"),
    (
        "no redirect URI can match it",
        {"PUBLIC_URL": "https://chat.example.com/chat"},
        "PUBLIC_URL=.* must have no path",
    ),
    ("weak SECRET_KEY", {"SECRET_KEY": "secret"}, "SECRET_KEY is too weak; .*openssl rand -hex 32"),
    ("no SECRET_KEY", {"SECRET_KEY": ""}, "SECRET_KEY is not set; .*openssl rand -hex 32"),
    ("several processes, no bus", {"WEB_CONCURRENCY": "2"}, "WEB_CONCURRENCY=2 needs REDIS_URL"),
    ("half a certificate", {"TLS_KEY_FILE": "/k"}, "TLS_CERT_FILE and TLS_KEY_FILE go together"),
]


@pytest.mark.parametrize(
    ("bad", "line"), [row[1:] for row in SETTINGS], ids=[r[0] for r in SETTINGS]
)
def test_a_wrong_setting_is_named_with_its_mend(bad: dict[str, str], line: str) -> None:
    told = examine(PRODUCTION, bad)
    assert told.code == 1
    assert re.search(f"^FAIL  settings: .*{line}", told.text, re.MULTILINE), told.text
    assert "skip  all else" in told.text


# What needs no network


@dataclass(frozen=True)
class Quick:
    """One mistake that can be told without the network, made in production's settings."""

    check: str
    line: str
    environ: Mapping[str, str]
    code: int = 0
    surroundings: str = ""


SQLITE = {"DATABASE_URL": "sqlite:////tmp/chat.db"}
QUICK = {
    "SQLite on a task's disk": Quick(
        "disk", "own disk: all messages go with the task", SQLITE, 1, "ecs"
    ),
    "SQLite in the demo": Quick(
        "disk", "all messages go with the task", {**SQLITE, **DEMO}, 0, "ecs"
    ),
    "SQLite on a container's own disk": Quick(
        "disk",
        "own disk: all messages go with it\n .* → mount a volume of your own at /usr, or set DATA",
        {"DATABASE_URL": "sqlite:////usr/chat.db"},
        1,
        "docker",
    ),
    "SQLite on a container's volume": Quick(
        "disk",
        "its messages go with its volume\n .* → mount a volume of your own at /dev/shm, or set",
        {"DATABASE_URL": "sqlite:////dev/shm/chat.db"},
        0,
        "docker",
    ),
    "SQLite and several processes": Quick(
        "processes",
        "WEB_CONCURRENCY=2 over SQLite, .*\n .* → set DATABASE_URL=postgresql",
        {**SQLITE, "WEB_CONCURRENCY": "2", "REDIS_URL": "redis://localhost"},
    ),
    "too few descriptors": Quick(
        "descriptors",
        r"open files is 512, too low for MAX_SOCKETS=400\n .* → raise it to 1401: `ulimit -n`",
        {"MAX_SOCKETS": "400"},
        surroundings="512 files",
    ),
    "a proxy that is not trusted": Quick(
        "proxies",
        "TRUSTED_PROXIES=0, but someone .*https://chat.example.com.*\n .* → set TRUSTED_PROXIES",
        {"TRUSTED_PROXIES": "0"},
    ),
    "a proxy that is not trusted, and TLS": Quick(
        "proxies", "TRUSTED_PROXIES=0, but someone", {"TRUSTED_PROXIES": "0", "TLS": "self-signed"}
    ),
    "trust where nobody is in front": Quick(
        "proxies",
        "TRUSTED_PROXIES=2 with URL_FROM_HOST=1: .*forge.*\n .* → leave out TRUSTED_PROXIES",
        {**DEMO, "TRUSTED_PROXIES": "2"},
        code=1,
    ),
}


@pytest.fixture
def surround(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def surround(kind: str) -> None:
        if kind == "ecs":
            monkeypatch.setenv(surroundings.ON_ECS, "http://169.254.170.2/v4/task")
        elif kind == "docker":
            surroundings.MARKS[0].touch()
        elif kind == "512 files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))

    yield surround
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("row", QUICK.values(), ids=QUICK.keys())
def test_is_told_without_the_network(row: Quick, surround: Callable[[str], None]) -> None:
    surround(row.surroundings)
    told = examine(PRODUCTION, row.environ, quick=True)
    sign = "FAIL" if row.code else "warn"
    assert re.search(f"^{sign}  {row.check}: .*{row.line}", told.of(row.check)), told.text
    assert told.code == row.code
    assert re.search(r"^1 (problem|warning)$", told.text, re.MULTILINE), told.text


def test_a_laptop_is_not_told_of_what_only_a_server_needs(
    sound: dict[str, str], surround: Callable[[str], None]
) -> None:
    for kind in ("docker", "512 files"):
        surround(kind)
    assert "Nothing is wrong." in examine(sound, {"MAX_SOCKETS": "5000"}, quick=True).text


# Certificate and key


def certified(
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=90),
    names: tuple[str, ...] = ("chat.example.com",),
) -> tuple[bytes, bytes]:
    """A certificate and its key, wrong in whatever way a test wants."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + begins).not_valid_after(now + ends)
    if names:
        subject = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(subject, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), locked(key, None)


def locked(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )


def an_order_that_is_wrong() -> tuple[bytes, bytes]:
    (certificate, key), (other, _) = certified(), certified()
    return other + certificate, key


def a_locked_key() -> tuple[bytes, bytes]:
    certificate, key = certified()
    loaded = serialization.load_pem_private_key(key, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return certificate, locked(loaded, b"open sesame")


def days(number: float) -> timedelta:
    return timedelta(days=number)


RENEW = "\n .* → put a new one into TLS_CERT_FILE"
PAIRS: dict[str, tuple[Callable[[], tuple[bytes, bytes]], str]] = {
    "no match": (
        lambda: (certified()[0], certified()[1]),
        "don't match: TLS_KEY_FILE is not TLS_C",
    ),
    "expired": (lambda: certified(days(-9), days(-1)), f"expired on 20..-..-..{RENEW}"),
    "within a week": (lambda: certified(ends=days(6.9)), f"expires within a week, on .*{RENEW}"),
    "not yet": (lambda: certified(begins=days(1)), "is not valid before 20.*\n .* → wait, or set"),
    "another host": (
        lambda: certified(names=("a.example.com", "example.com")),
        "for a.example.com, e",
    ),
    "a wildcard too high": (
        lambda: certified(names=("*.com",)),
        r"speaks for \*\.com, not for PUBLIC_",
    ),
    "no host": (
        lambda: certified(names=()),
        "speaks for nobody, not for PUBLIC_URL's host chat.ex",
    ),
    "another first": (
        an_order_that_is_wrong,
        "first certificate is another's.*\n .* → put the server",
    ),
    "a locked key": (a_locked_key, "locked by a passphrase.*\n .* → unlock it: openssl pkey"),
    "no key": (lambda: (certified()[0], b"no key"), "holds no private key in PEM"),
    "no certificate": (lambda: (b"none", certified()[1]), "holds no certificate in PEM"),
    "binary": (
        lambda: (b"\x30\x82\x00", certified()[1]),
        "holds no certificate in PEM\n .* openssl x",
    ),
}


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[tuple[bytes, bytes]], dict[str, str]]:
    def pair(contents: tuple[bytes, bytes]) -> dict[str, str]:
        certificate, key = tmp_path / "chat.crt", tmp_path / "chat.key"
        tls.write_pair(certificate, key, *contents)
        files = {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key)}
        return {**PRODUCTION, **files, "TRUSTED_PROXIES": "0"}

    return pair


@pytest.mark.parametrize(("make", "line"), PAIRS.values(), ids=PAIRS.keys())
def test_a_wrong_certificate_is_named(
    make: Callable[[], tuple[bytes, bytes]], line: str, pair: Any
) -> None:
    told = examine(pair(make()), quick=True)
    assert re.search(f"^FAIL  certificate: .*{line}", told.of("certificate")), told.text
    assert told.code == 1
    assert "\n1 problem\n" in told.text


@pytest.mark.parametrize("name", ["chat.example.com", "CHAT.example.com", "*.example.com"])
def test_a_good_certificate_is_left_alone(name: str, pair: Any) -> None:
    told = examine(pair(certified(ends=days(7.1), names=(name,))), quick=True)
    assert told.of("certificate") == "ok    certificate\n"
    assert told.code == 0


def test_behind_a_proxy_the_certificate_may_be_of_another_name(pair: Any) -> None:
    given = {**pair(certified(names=("inside.example.com",))), "TRUSTED_PROXIES": "1"}
    assert examine(given, quick=True).code == 0


def test_an_address_can_be_named_too(pair: Any) -> None:
    given = pair(tls.make_self_signed(["10.0.0.7", "::1"]))
    assert examine(given, {"PUBLIC_URL": "https://10.0.0.7"}, quick=True).code == 0
    assert examine(given, {"PUBLIC_URL": "https://[::1]"}, quick=True).code == 0
    assert examine(given, {"PUBLIC_URL": "https://10.0.0.8"}, quick=True).code == 1


# The provider


def answering(name: str, make: Callable[[], Response]) -> Deviation:
    return Deviation(answers={name: lambda _provider: make()})


def telling(**metadata: Any) -> Deviation:
    return Deviation(metadata=lambda honest: {**honest, **metadata})


def aged(age: str) -> Deviation:
    """Discovery out of a cache."""

    def discovery(provider: Provider) -> Response:
        response = provider.discovery()
        response.headers["Age"] = age
        return response

    return Deviation(answers={"discovery": discovery})


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float | None], None]:
    """Let the provider's clock be ahead of ours, or None: let it tell no time."""

    def set_clock(ahead: float | None) -> None:
        def told(*_: object) -> str:
            return "soon" if ahead is None else formatdate(time.time() + ahead, usegmt=True)

        # Its HTTP server writes the header itself.
        monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", told)

    return set_clock


def refusing(status: int, **error: str) -> Deviation:
    def token() -> Response:
        response = jsonify(error)
        response.status_code = status
        return response

    return answering("token", token)


def sending_back(error: str) -> Deviation:
    location = f"{PUBLIC_URL}/authorization-code/callback?error={error}&state=x"
    return answering("authorize", lambda: Response(status=302, headers={"Location": location}))


HONEST = Deviation()


@dataclass(frozen=True)
class Asked:
    """One mistake that shows when others are asked, made in a laptop's sound settings."""

    check: str
    line: str
    environ: Mapping[str, str]
    deviation: Deviation = HONEST
    code: int = 1


GROUPS = {"ALLOWED_GROUPS": "chat"}
ASKED = {
    # The issuer
    "refused": Asked(
        "provider",
        "the issuer is unreachable: http://127.0.0.1:1/.*: the connection is refused\n .* → see",
        {"OKTA_OAUTH2_ISSUER": "http://127.0.0.1:1"},
    ),
    "no such host": Asked(
        "provider",
        "the issuer is unreachable: .*: DNS knows no such host\n .* → check how it is spelled",
        {"OKTA_OAUTH2_ISSUER": "http://okta.invalid"},
    ),
    "not an issuer": Asked(
        "provider",
        "defualt/.well-known/openid-configuration answers 404\n .* → .*Authorization Servers",
        {"OKTA_OAUTH2_ISSUER": "{issuer}/oauth2/defualt"},
    ),
    "no TLS": Asked(
        "provider", r"unreachable: .*TLS fails \(", {"OKTA_OAUTH2_ISSUER": "{tls_issuer}"}
    ),
    "a portal": Asked(
        "provider",
        "something that is no JSON object\n .* → see what answers there: a portal",
        {},
        answering("discovery", lambda: Response("<h1>Welcome to our Wi-Fi</h1>")),
    ),
    "no object": Asked(
        "provider", "no JSON object", {}, answering("discovery", lambda: jsonify([]))
    ),
    "another issuer": Asked(
        "issuer",
        "issuer differs: it is 'https://other.example.com', and OKTA_OAUTH2_ISSUER is 'http:",
        {},
        telling(issuer="https://other.example.com"),
    ),
    "a slash too many": Asked(
        "issuer",
        "differ by the slash at the end\n .* → set OKTA_OAUTH2_ISSUER={issuer}\n",
        {"OKTA_OAUTH2_ISSUER": "{issuer}/"},
    ),
    "no issuer": Asked(
        "issuer", "discovery's issuer differs: it is None", {}, telling(issuer=None)
    ),
    "no token endpoint": Asked(
        "issuer", "no sound token_endpoint: None", {}, telling(token_endpoint=None)
    ),
    # The client
    "another secret": Asked(
        "client",
        r"id or secret is refused by .* \(invalid_client\)\n .* → copy OKTA_OAUTH2_CLIENT_ID",
        {"OKTA_OAUTH2_CLIENT_SECRET": "of another app"},
    ),
    "another id": Asked("client", "id or secret is refused", {"OKTA_OAUTH2_CLIENT_ID": "chat"}),
    "refused as Okta does": Asked(
        "client", "id or secret is refused", {}, refusing(400, errorCode="invalid_client")
    ),
    "refused without a word": Asked(
        "client", "id or secret is refused", {}, answering("token", lambda: Response(status=401))
    ),
    "another kind of app": Asked(
        "client",
        r"not let this client .*in \(unauthorized_client\)\n .* → .*Authorization Code",
        {},
        refusing(400, error="unauthorized_client"),
    ),
    "can't be told": Asked(
        "client",
        "can't be told: a made-up code got 500\n .* → sign in once",
        {},
        answering("token", lambda: Response(status=500)),
        code=0,
    ),
    # Its redirect URI
    "another PUBLIC_URL": Asked(
        "redirect URI",
        "back to PUBLIC_URL, at http://localhost:5998/authorization-code/.*\n .* → enter exac",
        {"PUBLIC_URL": "http://localhost:5998"},
    ),
    "a scope that is not there": Asked(
        "redirect URI", "the scopes of OKTA_OAUTH2_SCOPES", {}, sending_back("invalid_scope")
    ),
    "refused when sent back": Asked(
        "redirect URI",
        "refuses to sign anyone in: 'unauthorized_client'",
        {},
        sending_back("unauthorized_client"),
    ),
    # Groups
    "no groups claim": Asked(
        "groups",
        "does not say that it has a groups claim.*\n .* → add a claim groups",
        GROUPS,
        telling(claims_supported=["sub", "name"]),
        code=0,
    ),
    "groups never asked for": Asked(
        "groups",
        'the scope groups, .*\n .* → set OKTA_OAUTH2_SCOPES="openid profile email groups"',
        GROUPS,
        telling(scopes_supported=["openid", "groups"]),
    ),
    # The store
    "PostgreSQL away": Asked(
        "store",
        "the store is unreachable: .*Connection refused.*\n .* → see whether it runs",
        {"DATABASE_URL": "postgresql+psycopg://postgres:hunter2@127.0.0.1:1/chat"},
    ),
    "no such database": Asked(
        "store",
        'the store is unreachable: .*"nowhere" does not exist\n .* → make the database',
        {"DATABASE_URL": "{postgres}/nowhere"},
    ),
    "a URL that is none": Asked(
        "settings",
        "DATABASE_URL can't be read as a URL; write @ : / in a password",
        {"DATABASE_URL": "postgresql+psycopg://chat:hunter2@db:port/chat"},
    ),
    "no SQLite": Asked(
        "store", "unreachable: .*file is not a database\n", {"DATABASE_URL": "sqlite:///{cert}"}
    ),
    # The bus
    "Redis away": Asked(
        "bus",
        "the bus is unreachable: 127.0.0.1:1: .*\n .* → see whether it runs",
        {"REDIS_URL": "redis://:hunter2@127.0.0.1:1/0"},
    ),
}


@pytest.fixture
def places(provider: Provider, tmp_path: Path) -> dict[str, str]:
    """What stands in braces in the table."""
    (tmp_path / "certificate").write_bytes(certified()[0] * 9)
    server = os.environ.get(
        "TEST_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    )
    return {
        "issuer": provider.issuer,
        "tls_issuer": provider.issuer.replace("http", "https", 1),
        "postgres": server.rpartition("/")[0],
        "cert": str(tmp_path / "certificate"),
    }


@pytest.mark.parametrize("row", ASKED.values(), ids=ASKED.keys())
def test_is_told_once_others_are_asked(
    row: Asked, provider: Provider, sound: dict[str, str], places: dict[str, str]
) -> None:
    environ = {name: value.format(**places) for name, value in row.environ.items()}
    line = row.line.replace("{issuer}", provider.issuer)
    with provider.deviating(row.deviation):
        told = examine(sound, environ)
    sign = "FAIL" if row.code else "warn"
    assert re.search(f"^{sign}  {row.check}: .*{line}", told.of(row.check)), told.text
    assert told.code == row.code
    assert re.search(r"^1 (problem|warning)$", told.text, re.MULTILINE), told.text
    assert "hunter2" not in told.text


NO_FAULT: dict[str, tuple[dict[str, str], Deviation]] = {
    "nobody is signed in there": ({}, sending_back("login_required")),
    "groups among its claims": (GROUPS, telling(claims_supported=["sub", "groups"])),
    "groups among its scopes": (
        {**GROUPS, "OKTA_OAUTH2_SCOPES": "openid groups"},
        telling(scopes_supported=["openid", "groups"]),
    ),
}


@pytest.mark.parametrize(("environ", "deviation"), NO_FAULT.values(), ids=NO_FAULT.keys())
def test_what_is_no_mistake_is_not_told(
    environ: dict[str, str], deviation: Deviation, provider: Provider, sound: dict[str, str]
) -> None:
    with provider.deviating(deviation):
        assert "Nothing is wrong." in examine(sound, environ).text


CLOCKS: dict[str, tuple[float | None, str, str]] = {
    "behind": (45, "0", r"FAIL  .*skew: .* 4\d s behind the provider's.*\n .* → let NTP set it"),
    "ahead": (-45, "0", r"FAIL  .*skew: .* 4\d s ahead of the provider's"),
    "ahead, out of a cache": (-3_645, "3600", r"FAIL  .*skew: .* 4\d s ahead of the provider's"),
    "right": (0, "0", "ok"),
    "a little behind": (20, "0", "ok"),
    "a little ahead": (-20, "0", "ok"),
    "right, out of a cache": (-3_600, "3600", "ok"),
    "not to be read": (None, "0", "skip"),
}


@pytest.mark.parametrize(("ahead", "age", "line"), CLOCKS.values(), ids=CLOCKS.keys())
def test_a_clock_that_is_wrong_is_told(
    ahead: float | None,
    age: str,
    line: str,
    set_clock: Callable[[float | None], None],
    provider: Provider,
    sound: dict[str, str],
) -> None:
    set_clock(ahead)
    with provider.deviating(aged(age)):
        told = examine(sound)
    assert re.match(line, told.of("clock")), told.text
    assert told.code == (1 if line.startswith("FAIL") else 0)


def test_what_depends_on_a_failure_is_skipped_and_said_so(
    provider: Provider, sound: dict[str, str]
) -> None:
    """The secret above all: it is not sent to a provider that is not the one of the settings."""
    asked: list[str] = []

    def token() -> Response:
        asked.append("token")
        return Response(status=400)

    elsewhere = Deviation(
        metadata=lambda honest: {**honest, "issuer": "https://other.example.com"},
        answers={"token": lambda _provider: token()},
    )
    with provider.deviating(elsewhere):
        told = examine(sound, GROUPS)
    assert told.of("client") == "skip  client: it needs: issuer\n"
    assert told.of("redirect URI") == "skip  redirect URI: it needs: client\n"
    assert told.of("groups") == "skip  groups: it needs: issuer\n"
    assert asked == []


def test_the_secret_goes_no_further_than_the_token_endpoint(
    provider: Provider, sound: dict[str, str]
) -> None:
    caught: list[str] = []

    def discovery_again(asked: Provider) -> Response:
        caught.append("followed")
        return asked.discovery()

    there = {"Location": f"{provider.issuer}/jwks"}
    lured = Deviation(
        answers={
            "token": lambda _provider: Response(status=307, headers=there),
            "jwks": discovery_again,
        }
    )
    with provider.deviating(lured):
        told = examine(sound)
    assert "can't be told: a made-up code got 307" in told.of("client")
    assert caught == []


def test_a_provider_that_hangs_is_given_up(
    provider: Provider, sound: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT_S", 0.3)

    def hang(asked: Provider) -> Response:
        asked.hang()
        return asked.discovery()

    with provider.deviating(Deviation(answers={"discovery": hang})):
        told = examine(sound)
    assert "no answer within 0.3 s" in told.of("provider")


def test_no_check_goes_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TIMEOUT_S", 0.1)

    def trickles(_case: object) -> Iterator[Any]:
        gevent.sleep(30)
        yield

    [found] = checks._bounded(trickles)(None)  # type: ignore[arg-type]
    assert "longer than 0.1 s" in found.message


def test_a_check_that_fails_itself_does_not_end_the_others(
    sound: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_url: str, **_options: Any) -> Any:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(web, "get", fails)
    told = examine(sound)
    assert "could not be looked at: RuntimeError" in told.of("provider")
    assert "ok    store" in told.text
    assert "hunter2" not in told.text


# The store's schema


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of another version of this code, for a test to write."""
    copy = tmp_path / "migrations"
    shutil.copytree(store.MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(store, "MIGRATIONS", copy)
    return copy / "versions"


def head(house: Inside) -> str:
    with house.context(), db.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return str(found)


def write_migration(folder: Path, name: str, after: str | None) -> None:
    (folder / f"{name}.py").write_text(f"revision = {name!r}\ndown_revision = {after!r}\n")


def test_a_schema_up_to_date_is_fine(house: Inside, sound: dict[str, str]) -> None:
    told = examine(sound, {"DATABASE_URL": house.settings.database_url})
    assert (told.of("store"), told.of("schema")) == ("ok    store\n", "ok    schema\n")


def test_a_schema_behind_is_told(house: Inside, sound: dict[str, str], migrations: Path) -> None:
    write_migration(migrations, "later", head(house))
    write_migration(migrations, "last", "later")
    told = examine(sound, {"DATABASE_URL": house.settings.database_url})
    assert re.match(
        r"FAIL  schema: .*behind this code, by 2 migration\(s\)\n .* → start the app",
        told.of("schema"),
    )
    assert told.code == 1


def test_a_schema_ahead_is_a_mistake(
    house: Inside, sound: dict[str, str], migrations: Path
) -> None:
    ahead = head(house)
    for file in migrations.glob("*.py"):
        file.unlink()
    write_migration(migrations, "older", None)
    told = examine(sound, {"DATABASE_URL": house.settings.database_url})
    assert re.match(
        f"FAIL  schema: .*ahead of this code, by {ahead}\n .* → run the newer version",
        told.of("schema"),
    )
    assert told.code == 1


def test_a_database_of_others_is_a_mistake(sound: dict[str, str], postgres_url: str) -> None:
    environ = {**sound, "DATABASE_URL": postgres_url}
    assert examine(environ).of("schema") == "ok    schema\n"
    with create_engine(postgres_url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE invoices (id int)")
    told = examine(environ)
    assert re.match("FAIL  schema: .*not this app's schema: invoices\n", told.of("schema"))
    assert told.code == 1


def test_a_folder_that_cannot_be_written_to(
    sound: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, who may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert f"can't be made: {tmp_path} can't be written to" in examine(sound).of("store")
    (tmp_path / "chat.db").touch()
    assert "can't be written to" in examine(sound).of("store")


# The bus


def test_a_bus_that_wants_a_password(sound: dict[str, str], tmp_path: Path) -> None:
    servers.require(Redis.installed(), "redis-server")
    redis = Redis(tmp_path, servers.free_port())
    redis.start()
    try:
        assert examine(sound, {"REDIS_URL": redis.url}).of("bus") == "ok    bus\n"
        with_password(redis, "hunter2")
        told = examine(sound, {"REDIS_URL": redis.url})
        right = redis.url.replace("redis://", "redis://:hunter2@")
        assert examine(sound, {"REDIS_URL": right}).of("bus") == "ok    bus\n"
    finally:
        redis.stop()
    assert re.match(r"FAIL  bus: the bus refuses us: .*\n .* → check the user and", told.of("bus"))
    assert told.code == 1


def with_password(redis: Redis, password: str) -> None:
    with socket.create_connection(("127.0.0.1", redis.port), 2) as connection:
        connection.sendall(f"CONFIG SET requirepass {password}\r\n".encode())
        assert connection.recv(16).startswith(b"+OK")


# PUBLIC_URL, and who is there


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(("127.0.0.1", servers.free_port()), Answering) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield site
        site.shutdown()
        thread.join()


class Site(ThreadingHTTPServer):
    """Whoever answers at `PUBLIC_URL`, always the same."""

    answer: tuple[int, str, bytes] = (200, "", b"")


class Answering(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        status, location, body = self.server.answer
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


ANSWERS: dict[str, tuple[tuple[int, str, bytes], str]] = {
    "http, and TLS in front": (
        (301, "https://localhost/healthz", b""),
        "leads on to 'https://localhost': .*\n .* → set PUBLIC_URL to the address",
    ),
    "another host": (
        (308, "//www.example.com/healthz", b""),
        "leads on to 'http://www.example.com'",
    ),
    "a proxy alone": (
        (502, "", b""),
        "answers 502: a proxy is there, but no chat.*\n .* → see whe",
    ),
    "another site": ((200, "", b"<h1>It works!</h1>"), "something else answers there"),
    "a site without it": ((404, "", b"{}"), "something else answers there .*404"),
}


@pytest.mark.parametrize(("answer", "line"), ANSWERS.values(), ids=ANSWERS.keys())
def test_who_is_at_the_public_url_is_told(
    answer: tuple[int, str, bytes],
    line: str,
    site: Site,
    provider: Provider,
    sound: dict[str, str],
) -> None:
    site.answer = answer
    told = examine(sound, at(site, provider))
    assert re.match(f"FAIL  address: PUBLIC_URL=.*{line}", told.of("address")), told.text
    assert told.code == 1


def test_a_chat_at_the_public_url_is_fine(
    site: Site, provider: Provider, sound: dict[str, str]
) -> None:
    site.answer = (200, "", b'{"ok":true}')
    assert examine(sound, at(site, provider)).of("address") == "ok    address\n"


def at(site: Site, provider: Provider) -> dict[str, str]:
    url = f"http://localhost:{site.server_port}"
    client = provider.register(url)
    return {
        "PUBLIC_URL": url,
        "OKTA_OAUTH2_CLIENT_ID": client.id,
        "OKTA_OAUTH2_CLIENT_SECRET": client.secret,
    }


def test_in_production_an_address_that_no_one_can_use_is_told() -> None:
    case = Case(from_environment({**PRODUCTION, "PUBLIC_URL": "https://chat.invalid"}))
    [found] = address.find(case)
    assert (found.level, "DNS knows no such host" in found.message) == (Level.WARNING, True)


def test_in_production_a_certificate_that_browsers_refuse_is_told(site: Site) -> None:
    url = f"https://localhost:{site.server_port}"
    [found] = address.find(Case(from_environment({**PRODUCTION, "PUBLIC_URL": url})))
    assert (found.level, "browsers will warn" in found.message) == (Level.WARNING, True)


# The command, where nothing else would start


def test_the_doctor_names_every_wrong_setting_at_once(tmp_path: Path) -> None:
    bad = {
        "SECRET_KEY": "weak",
        "OKTA_OAUTH2_CLIENT_ID": "",
        "PUBLIC_URL": "http://chat.example.com",
    }
    done = run({**PRODUCTION, **bad}, tmp_path, FLASK, "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    for name in bad:
        assert f"FAIL  settings: {name} " in done.stdout
    assert done.stdout.endswith("\n3 problems\n")


def test_other_commands_still_end_with_one_line(tmp_path: Path) -> None:
    done = run({**PRODUCTION, "SECRET_KEY": "weak"}, tmp_path, FLASK, "db", "current")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("chat: SECRET_KEY is too weak.*\n", done.stderr)


def test_other_commands_work_as_ever(tmp_path: Path) -> None:
    given = {**PRODUCTION, "DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"}
    done = run(given, tmp_path, FLASK, "db", "upgrade")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "chat.db").exists()


def test_the_served_app_has_the_doctor_too(tmp_path: Path) -> None:
    given = {**PRODUCTION, **DEMO, "TRUSTED_PROXIES": "2"}
    done = run(given, tmp_path, FLASK, "--app", "wsgi", "doctor", "--quick")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL  proxies: TRUSTED_PROXIES=2" in done.stdout


def test_the_command_runs_where_gevent_has_patched(tmp_path: Path) -> None:
    """Else no check could be ended, and psycopg would hold up the loop."""
    program = (
        "import sys; import chat.cli; from gevent.monkey import is_module_patched; "
        "print(is_module_patched('socket'), {'psycopg', 'redis', 'requests'} & set(sys.modules))"
    )
    done = run(PRODUCTION, tmp_path, sys.executable, "-c", program)
    assert (done.stdout, done.stderr) == ("True set()\n", "")


# At a start


def test_a_start_tells_what_is_wrong_and_serves(tmp_path: Path) -> None:
    given = {**PRODUCTION, "CHAT_ENV": "production", "TRUSTED_PROXIES": "0"}
    port = servers.free_port()
    app = App(tmp_path, port, {**given, "DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"})
    app.start()
    app.stop()
    lines = [line for line in app.log.splitlines() if "TRUSTED_PROXIES=0" in line]
    assert len(lines) == 1, app.log
    assert re.search(r"\[WARNING\] .*; set TRUSTED_PROXIES to", lines[0])


@pytest.mark.parametrize(
    "start",
    [["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"], ["dev.run"]],
    ids=["container", "make run"],
)
def test_no_start_with_a_certificate_that_cannot_serve(
    start: list[str], pair: Any, tmp_path: Path
) -> None:
    given = {
        **pair((certified()[0], certified()[1])),
        "PORT": str(servers.free_port()),
        "REDIRECT_PORT": str(servers.free_port()),
    }
    done = run(given, tmp_path, sys.executable, "-m", *start)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert len(told) == 1, done.stderr
    assert told[0].startswith("chat: the certificate and the key don't match")


def test_make_run_tells_what_is_wrong(pair: Any, tmp_path: Path) -> None:
    """A second fault ends this start, which would otherwise serve."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = {**pair(certified(ends=days(3))), "REDIRECT_PORT": "", "PORT": str(port)}
        done = run(given, tmp_path, sys.executable, "-m", "dev.run")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("chat: the certificate ")
    assert "expires within a week" in first
    assert f"Port {port} is in use" in second


def test_what_a_start_runs_is_light(tmp_path: Path) -> None:
    """gunicorn's master must not load what needs a patched process; nor should it wait."""
    program = (
        "import sys; from chat import config, doctor; before = set(sys.modules); "
        "doctor.look_at_start(config.from_environment(), print); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'alembic', 'click', 'cryptography', 'flask', 'gevent', 'psycopg', 'redis', 'requests', "
        "'sqlalchemy'}))"
    )
    done = run(PRODUCTION, tmp_path, sys.executable, "-c", program)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# What shows only once requests come


@pytest.mark.parametrize(("trusted", "lines"), [("0", 1), ("1", 0)])
def test_a_proxy_that_is_not_trusted_is_told_once(
    trusted: str, lines: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    app = inside_.make_app(inside_.settings(url, TRUSTED_PROXIES=trusted))
    browser = app.test_client()
    browser.get("/healthz")
    assert not caplog.records
    for address_of in ("192.0.2.1", "192.0.2.2"):
        browser.get("/healthz", headers={"X-Forwarded-For": address_of})
    told = [record for record in caplog.records if "X-Forwarded-For" in record.message]
    assert len(told) == lines
