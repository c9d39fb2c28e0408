"""The real parts that tests run against, each a process of its own on a loopback port.

The application and the mock provider are never imported here: gevent's monkey patching would change
this process, and neither would be tested as it is served.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.provider import Provider

ROOT = Path(__file__).resolve().parent.parent
START_S = 30.0
# Above gunicorn's own grace for a worker under test: see `App`.
STOP_S = 10.0
POLL_S = 0.05

MOCK_PEOPLE = (
    {"sub": "alice", "name": "Alice", "email": "alice@example.com", "groups": ["chat"]},
    {"sub": "bob", "name": "Bob", "email": "bob@example.com", "groups": ["chat"]},
)

running: list[Server] = []


def free_port() -> int:
    """A port that nobody listens on.

    From below the range that the kernel gives to outgoing connections (32768 upwards on Linux), so
    that it is still free when a server binds it a moment later.
    """
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port found")


def wait_for(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll for what cannot be awaited: another process's state. Fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain: {what}")
        time.sleep(POLL_S)


def require(present: bool, part: str) -> None:
    """Skip where the machine lacks a part; fail under CI=true, where nothing may be skipped."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{part} is missing, and CI=true", pytrace=False)
    pytest.skip(f"{part} is missing on this machine")


class Server:
    """A process with its log in a file, started, awaited and ended by its id."""

    def __init__(
        self, name: str, argv: list[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.argv = argv
        self.environ = _bare_environment(folder) | dict(environ or {})
        self.log_file = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        running.append(self)
        wait_for(self._is_up, START_S, f"{self.name} to be ready\n{self.log}")
        return self

    def stop(self, grace: float = STOP_S) -> int:
        """SIGTERM, after `grace` seconds SIGKILL; returns the exit status."""
        assert self._process is not None
        self._process.terminate()
        try:
            status = self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        running.remove(self)
        self._process = None
        return status

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ready(self) -> bool:
        """Whether it serves yet."""
        raise NotImplementedError

    def _is_up(self) -> bool:
        if not self.alive:
            self._process = None
            running.remove(self)
            pytest.fail(f"{self.name} ended before it was ready:\n{self.log}", pytrace=False)
        return self.ready()


def url_of(port: int, environ: Mapping[str, str]) -> str:
    """What browsers see an application at that has these settings."""
    if environ.get("URL_FROM_HOST") == "1":
        return f"https://127.0.0.1:{port}"
    return environ.get("PUBLIC_URL", f"http://localhost:{port}")


class App(Server):
    """The application, served as in production: gunicorn with its own configuration file."""

    def __init__(
        self,
        folder: Path,
        port: int,
        environ: Mapping[str, str],
        wsgi: str = "wsgi:app",
    ) -> None:
        self.port = port
        scheme = "https" if {"TLS", "TLS_CERT_FILE"} & environ.keys() else "http"
        self.address = f"{scheme}://127.0.0.1:{port}"
        self.url = url_of(port, environ)
        self.database_url = environ.get("DATABASE_URL", f"sqlite:///{folder / 'chat.db'}")
        given = {
            "CHAT_ENV": "development",
            "PORT": str(port),
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": "a key for tests, of which nobody asks that it be secret",
            # Tests share people and an address; those of the limits set their own.
            "RATE_MESSAGES": "",
            "RATE_EVENTS": "",
            "RATE_SIGN_IN": "",
        }
        argv = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", wsgi]
        super().__init__(f"app-{port}", argv, folder, given | dict(environ))

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz", timeout=2, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def restart(self) -> None:
        self.stop()
        self.start()


@contextlib.contextmanager
def providing() -> Iterator[Provider]:
    """A strict provider, running."""
    provider = Provider(free_port())
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


class MockProvider(Server):
    """`oidc-provider-mock`, as `make run` uses it. It checks little: see `provider.py`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        people = [f"--user-claims={json.dumps(person)}" for person in MOCK_PEOPLE]
        argv = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *people]
        super().__init__(f"mock-provider-{port}", argv, folder)

    def ready(self) -> bool:
        try:
            url = f"{self.issuer}/.well-known/openid-configuration"
            return httpx.get(url, timeout=2, verify=False).status_code == 200
        except httpx.TransportError:
            return False


class Serve(Protocol):
    """Starts an application with settings of one's own; ends it with the test or module."""

    def __call__(
        self,
        provider: Provider | MockProvider,
        *,
        wsgi: str = "wsgi:app",
        port: int | None = None,
        **environ: str,
    ) -> App: ...


class Redis(Server):
    """A Redis of the test's own, which keeps nothing."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        options = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), *options]
        super().__init__(f"redis-{port}", argv, folder)

    @staticmethod
    def installed() -> bool:
        return shutil.which("redis-server") is not None

    def ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def fresh_postgres() -> Iterator[str]:
    """The URL of a new database on the server of TEST_DATABASE_URL, dropped at the end."""
    server = make_url(
        os.environ.get("TEST_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
    )
    conninfo = server.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError:
        require(False, f"PostgreSQL at {server.render_as_string()}")
        raise
    name = f"chat_test_{os.getpid()}_{random.randrange(10**9)}"
    with connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _bare_environment(folder: Path) -> dict[str, str]:
    """No setting of the developer's own may reach what is tested."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TZ") if key in os.environ}
    return kept | {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "default",
    }
