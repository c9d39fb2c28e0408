"""The certificate that is served: made at the start, or given; and whichever lies there now."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from chat import tls
from tests import servers
from tests.cast import Person
from tests.inside import ENVIRON
from tests.servers import App, MockProvider, Serve, wait_for

RENEWING = """
from chat import tls
tls.LOOK_EVERY_S = 0.05
tls.RENEW_BEFORE = tls.timedelta(days=365)
from wsgi import app
"""


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("mounted")
    pair = folder / "chat.crt", folder / "chat.key"
    tls.ensure_self_signed(*pair, ["localhost"])
    return pair


@pytest.fixture(scope="module")
def app(serve_module: Serve, mock_provider: MockProvider, mounted: tuple[Path, Path]) -> App:
    certificate, key = map(str, mounted)
    return serve_module(mock_provider, **secured(TLS_CERT_FILE=certificate, TLS_KEY_FILE=key))


@pytest.fixture
def given(app: App, mounted: tuple[Path, Path]) -> tuple[Path, Path]:
    """A certificate and its key, as an operator mounts them, and as they are served."""
    tls.write_pair(*mounted, *tls.make_self_signed(["localhost", "127.0.0.1"]))
    assert served(app) == written(mounted[0])
    return mounted


@pytest.fixture(scope="module")
def made(serve_module: Serve, mock_provider: MockProvider) -> App:
    return serve_module(mock_provider, **self_signed())


def self_signed() -> dict[str, str]:
    return secured(TLS="self-signed", TLS_EXTRA_SANS="10.0.0.7,chat.lan")


def secured(**environ: str) -> dict[str, str]:
    return {"PUBLIC_URL": "https://chat.example.com", **environ}


def served(app: App) -> x509.Certificate:
    """The certificate of a new connection."""
    pem = ssl.get_server_certificate(("127.0.0.1", app.port), timeout=5)
    return x509.load_pem_x509_certificate(pem.encode())


def written(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


# Given, and renewed in place


def test_what_is_given_is_served(app: App, given: tuple[Path, Path]) -> None:
    assert served(app) == written(given[0])


def test_a_new_one_in_the_same_file_is_served_without_a_restart(
    app: App, given: tuple[Path, Path]
) -> None:
    process = app.pid
    with kept_alive(app) as old:
        tls.write_pair(*given, *tls.make_self_signed(["localhost"]))
        assert served(app) == written(given[0])
        # Who is connected stays so.
        assert old.get("/healthz").is_success
    assert app.pid == process
    assert f"a new certificate is served from {given[0]}" in app.log


@contextlib.contextmanager
def kept_alive(app: App) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.address, verify=False, timeout=5) as client:
        assert client.get("/healthz").is_success
        yield client


def test_half_of_a_new_pair_is_not_served(app: App, given: tuple[Path, Path]) -> None:
    """As whoever renews writes one file after the other."""
    certificate, key = given
    before, told = served(app), app.log.count("is not taken")
    new_certificate, new_key = tls.make_self_signed(["localhost"])
    certificate.write_bytes(new_certificate)
    assert served(app) == before
    assert served(app) == before
    assert app.log.count("is not taken") == told + 1
    key.write_bytes(new_key)
    assert served(app) == written(certificate) != before


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_what_is_no_certificate_is_not_served(
    app: App, given: tuple[Path, Path], content: bytes | None
) -> None:
    before, told = served(app), app.log.count("is not taken")
    if content is None:
        given[0].unlink()
    else:
        given[0].write_bytes(content)
    assert served(app) == before
    assert app.log.count("is not taken") == told + 1


@pytest.mark.parametrize("why", ["too small a key", "no certificate"])
def test_one_that_nobody_can_be_served_stops_the_start(tmp_path: Path, why: str) -> None:
    """Else each worker would end with a traceback, and be started again."""
    certificate, key = tmp_path / "weak.crt", tmp_path / "weak.key"
    if why == "too small a key":
        weak = ["-newkey", "rsa:1024", "-nodes", "-subj", "/CN=localhost", "-days", "30"]
        command = ["openssl", "req", "-x509", *weak, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
    else:
        certificate.write_text("nothing")
        key.write_text("nothing")
    environ = secured(TLS_CERT_FILE=str(certificate), TLS_KEY_FILE=str(key))
    told = refusal(tmp_path, environ)
    assert told.startswith(f"chat: {certificate}")


def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = refusal(tmp_path, secured(TLS="self-signed", REDIRECT_PORT=str(port)))
    assert told.startswith(f"chat: REDIRECT_PORT={port} can't be listened on")


def refusal(folder: Path, environ: dict[str, str]) -> str:
    """The one line with which a start ends."""
    given = ENVIRON | environ | {"PORT": str(servers.free_port()), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
    done = subprocess.run(
        command, cwd=servers.ROOT, env=given, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("chat: ")]
    assert "Traceback" not in done.stderr
    return line


def test_a_hang_up_signal_changes_nothing(made: App) -> None:
    """gunicorn would read its configuration again, and find no certificate in a new folder."""
    os.kill(made.pid, signal.SIGHUP)
    process, before = made.pid, served(made)
    os.kill(made.pid, signal.SIGHUP)
    assert served(made) == before
    assert (made.pid, made.alive) == (process, True)


# Made at the start


def test_one_is_made_for_where_it_is_served(made: App) -> None:
    certificate = served(made)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = names.get_values_for_type(x509.DNSName)
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    assert dns == ["chat.example.com", "chat.lan", "localhost"]
    assert list(addresses) == ["10.0.0.7", "127.0.0.1", "::1"]
    assert certificate.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_whoever_started_it_can_compare_fingerprints(made: App) -> None:
    told = re.search(r"SHA-256 fingerprint ([0-9A-F:]{95})", made.log)
    assert told
    assert bytes.fromhex(told[1].replace(":", "")) == served(made).fingerprint(hashes.SHA256())


def test_its_key_is_readable_by_its_owner_alone_and_gone_with_it(
    serve: Serve, mock_provider: MockProvider
) -> None:
    made = serve(mock_provider, **self_signed())
    (folder,) = folders_of(made)
    assert folder.parent == Path("/dev/shm")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "chat.key").stat().st_mode) == 0o600
    assert made.stop() == 0
    assert not folder.exists()


def folders_of(app: App) -> list[Path]:
    """Where an application's own certificate lies."""
    folders = list(Path("/dev/shm").glob("chat-tls-*"))
    return [folder for folder in folders if written(folder / "chat.crt") == served(app)]


def test_alice_signs_in(made: App) -> None:
    """By the address that browsers see; no cookie is made for another."""
    transport = httpx.HTTPTransport(verify=False)
    person = Person(made, "alice", transport)
    answer = person.http.get(f"{made.address}/login", headers={"Host": "chat.example.com"})
    assert answer.is_redirect
    assert "redirect_uri=https%3A%2F%2Fchat.example.com%2F" in answer.headers["location"]
    person.close()


def test_it_is_renewed_before_it_ends(
    serve: Serve, mock_provider: MockProvider, tmp_path: Path
) -> None:
    (tmp_path / "renewing.py").write_text(RENEWING)
    path = f"{servers.ROOT}{os.pathsep}{tmp_path}"
    environ = secured(TLS="self-signed", PYTHONPATH=path)
    app = serve(mock_provider, wsgi="renewing:app", **environ)
    first = served(app)
    wait_for(lambda: served(app) != first, 5, "another certificate")
    wait_for(lambda: app.log.count("SHA-256 fingerprint") > 1, 5, "its fingerprint in the log")


def test_several_processes_make_one_pair(tmp_path: Path) -> None:
    """They would mix up one's key with another's certificate."""
    pair = tmp_path / "chat.crt", tmp_path / "chat.key"
    code = (
        "import sys; from pathlib import Path; from chat import tls\n"
        "tls.ensure_self_signed(*map(Path, sys.argv[1:]), ['localhost'])\n"
        "print(tls.fingerprint(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, *map(str, pair)]

    def ensure(_number: int) -> str:
        done = subprocess.run(command, cwd=servers.ROOT, check=True, capture_output=True)
        return done.stdout.decode()

    with ThreadPoolExecutor(4) as processes:
        assert len(set(processes.map(ensure, range(4)))) == 1
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)
