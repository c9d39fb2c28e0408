"""The cast and the stage: a served application, a provider, and Alice, Bob and Charlie.

Alice and Bob are signed in, Charlie is nobody. The default application is shared by all tests, and
so is its Lobby: a test must not count on being alone there. Whatever changes the application's
settings, or breaks it, asks `serve` for one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from tests import servers
from tests.cast import Arrive, Person
from tests.inside import house, inside  # noqa: F401  fixtures of the rules' tests
from tests.provider import Provider
from tests.servers import App, MockProvider, Redis, Serve

LOG_SHOWN = 8_000
T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves a loop running, and asyncio's tests want none."""
    items.sort(key=lambda item: "playwright" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of what runs beside a failure."""
    report = yield
    if report.failed:
        for server in servers.running:
            report.sections.append((f"log of {server.name}", server.log[-LOG_SHOWN:]))
    return report


# The stage


@pytest.fixture(scope="session")
def mock_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockProvider]:
    provider = MockProvider(tmp_path_factory.mktemp("mock"), servers.free_port())
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def app(mock_provider: MockProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The shared application, with the mock for its provider."""
    yield from _serving(tmp_path_factory, lambda serve: serve(mock_provider))


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    yield from _serving(tmp_path_factory, lambda serve: serve)


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve` for what a module's tests share."""
    yield from _serving(tmp_path_factory, lambda serve: serve)


def _serving(folders: pytest.TempPathFactory, result: Callable[[Serve], T]) -> Iterator[T]:
    started: list[App] = []

    def serve(
        provider: Provider | MockProvider,
        *,
        wsgi: str = "wsgi:app",
        port: int | None = None,
        **environ: str,
    ) -> App:
        port = port or servers.free_port()
        folder = folders.mktemp("app")
        given = _okta(provider, servers.url_of(port, environ)) | environ
        app = App(folder, port, given, wsgi)
        started.append(app)
        app.start()
        return app

    yield result(serve)
    for app in started:
        if app.alive:
            app.stop()
    for app in started:
        for sign in ("Traceback", "Warning:"):
            assert sign not in app.log, f"{app.name} logged a {sign}\n{app.log}"


def _okta(provider: Provider | MockProvider, url: str) -> dict[str, str]:
    """The settings that make `provider` the application's; the mock takes every client."""
    if isinstance(provider, Provider):
        client = provider.register(url)
        client_id, secret = client.id, client.secret
    else:
        client_id, secret = "chat", "a secret that the mock does not check"
    return {
        "OKTA_OAUTH2_ISSUER": provider.issuer,
        "OKTA_OAUTH2_CLIENT_ID": client_id,
        "OKTA_OAUTH2_CLIENT_SECRET": secret,
    }


@pytest.fixture
def new_provider() -> Iterator[Provider]:
    """A strict provider of the test's own, which no application has met."""
    with servers.providing() as provider:
        yield provider


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[Provider]:
    with servers.providing() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: Provider) -> Provider:
    """The strict provider that tests share, with no memory of what it refused before."""
    shared_provider.refusals.clear()
    shared_provider.signed_out.clear()
    return shared_provider


@pytest.fixture(scope="session")
def strict_app(
    shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """The shared application with the strict provider, for what is about sign-in."""
    yield from _serving(tmp_path_factory, lambda serve: serve(shared_provider))


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL database."""
    with servers.fresh_postgres() as url:
        yield url


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    servers.require(Redis.installed(), "redis-server")
    server = Redis(tmp_path, servers.free_port()).start()
    yield server
    server.stop()


# The cast


@pytest.fixture
def arrive() -> Iterator[Arrive]:
    people: list[Person] = []

    def arrive(app: App, sub: str, transport: httpx.BaseTransport | None = None) -> Person:
        people.append(Person(app, sub, transport))
        return people[-1]

    yield arrive
    for person in people:
        person.close()


@pytest.fixture
def alice(app: App, arrive: Arrive) -> Person:
    return arrive(app, "alice").signs_in()


@pytest.fixture
def bob(app: App, arrive: Arrive) -> Person:
    return arrive(app, "bob").signs_in()


@pytest.fixture
def charlie(app: App, arrive: Arrive) -> Person:
    """Nobody: no session."""
    return arrive(app, "charlie")
