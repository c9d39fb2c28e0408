"""The way from a clean checkout to two people who talk, as far as there is one without AWS.

The make targets talk to moto, the image goes to a real registry and comes from there, and a
stand-in for Fargate (`fargate.py`) runs what they registered, on an address of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from chat import tls
from tests import servers
from tests.browser.chatting import ChatPage
from tests.browser.conftest import (  # noqa: F401  fixtures
    browser_person,
    browser_type_launch_args,
)
from tests.browser.people import BrowserPerson, EnterBrowser
from tests.deploy import fargate
from tests.deploy.conftest import NAME, REGION, Image, Moto, Workshop
from tests.deploy.fargate import Aws, Network, Task
from tests.deploy.registry import Registry
from tests.provider import Client, Provider

CLUSTER = f"{NAME}-demo"
OKTA = {
    "OKTA_OAUTH2_ISSUER": "issuer",
    "OKTA_OAUTH2_CLIENT_ID": "id",
    "OKTA_OAUTH2_CLIENT_SECRET": "secret",
}
CA = "/run/world/ca.crt"


@dataclass(frozen=True)
class World:
    """Where a task runs: a network, a provider on it, and who vouches for the provider."""

    network: Network
    provider: Provider
    client: Client
    ca: Path

    @property
    def flags(self) -> list[str]:
        """The authority is one that everyone trusts; outside, no image need be told of it."""
        return [f"--volume={self.ca}:{CA}:ro"]

    @property
    def environ(self) -> dict[str, str]:
        return {"REQUESTS_CA_BUNDLE": CA}


@dataclass(frozen=True)
class Demo:
    """The demo as the make targets left it in AWS."""

    world: World
    aws: Aws
    make: Make
    said: str

    @property
    def task(self) -> str:
        (arn,) = self.aws.ecs.list_tasks(cluster=CLUSTER)["taskArns"]
        return str(arn)


@dataclass(frozen=True)
class Make:
    """Runs make targets in a clean clone, against AWS as moto plays it."""

    workshop: Workshop
    environ: dict[str, str]

    def __call__(self, *arguments: str, **environ: str) -> str:
        done = self.workshop.make(*arguments, **self.environ | environ)
        assert done.returncode == 0, f"make {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with fargate.network() as network:
        pair = folder / "ca.crt", folder / "ca.key"
        tls.ensure_self_signed(*pair, [network.here])
        provider = Provider(servers.free_port(), network.here, (str(pair[0]), str(pair[1])))
        provider.start()
        # As an administrator makes an app before anyone knows where it will run.
        client = provider.register("https://not-known-yet.example")
        yield World(network, provider, client, pair[0])
        provider.stop()


@pytest.fixture(scope="module")
def cloud(
    world: World, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moto]:
    """AWS, where a task's public address is that which the stand-in gives it."""
    server = Moto(tmp_path_factory.mktemp("cloud"), registry.host)
    server.environ["MOTO_PUBLIC_IP"] = world.network.task
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def make(
    workshop: Workshop, registry: Registry, cloud: Moto, aws_environment: dict[str, str]
) -> Make:
    environ = aws_environment | {
        "AWS_ENDPOINT_URL": cloud.url,
        "SSL_CERT_FILE": str(registry.certificate),
    }
    token = subprocess.run(
        ["aws", "ecr", "get-login-password"],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    registry.let_in(token.stdout.strip())
    return Make(workshop, environ)


@pytest.fixture(scope="module")
def demo(world: World, cloud: Moto, make: Make, image: Image) -> Demo:
    """Three commands from a checkout to an address."""
    make("push")
    okta = (world.provider.issuer, world.client.id, world.client.secret)
    make("secrets", **dict(zip(OKTA, okta, strict=True)))
    said = make("run-task")
    return Demo(world, Aws(cloud.url, REGION), make, said)


@pytest.fixture(scope="module")
def task(demo: Demo, workshop: Workshop, registry: Registry) -> Iterator[Task]:
    definition = demo.aws.definition(CLUSTER, demo.task)
    for container in definition["containerDefinitions"]:
        image, password = container["image"], demo.aws.password()
        fargate.pull(workshop.engine, image, password, registry.certificate)
    world = demo.world
    with fargate.running(
        workshop.engine,
        definition,
        demo.aws,
        world.network,
        environ=world.environ,
        flags=world.flags,
    ) as task:
        task.wait_until_healthy()
        yield task


@dataclass(frozen=True)
class Place:
    """The demo, as people in browsers know it."""

    url: str
    environ: dict[str, str]


@pytest.fixture(scope="module")
def place(demo: Demo, task: Task) -> Place:
    """Where `make url` says that it is, with the URIs that it prints entered at the provider."""
    said = demo.make("url")
    url = _told(r"is at\s+(https://\S+?)/?\s", said)
    sign_in = _told(r"Sign-in redirect URI\s+(\S+)", said)
    sign_out = _told(r"Sign-out redirect URI\s+(\S+)", said)
    demo.world.provider.enter(demo.world.client.id, sign_in, sign_out)
    return Place(url, {"OKTA_OAUTH2_ISSUER": demo.world.provider.issuer})


def _told(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    assert found, said
    return found[1]


def enter(browser_person: EnterBrowser, place: Place, sub: str) -> BrowserPerson:  # noqa: F811
    return browser_person(sub, app=place, sign_in=False, ignore_https_errors=True)  # type: ignore[arg-type]


# What the commands did


def test_the_task_is_started_without_knowing_its_address(demo: Demo) -> None:
    definition = json.dumps(demo.aws.definition(CLUSTER, demo.task))
    assert demo.world.network.task not in definition
    assert '"URL_FROM_HOST"' in definition
    assert '"PUBLIC_URL"' not in definition


def test_no_secret_is_in_the_definition_or_was_printed(demo: Demo) -> None:
    definition = json.dumps(demo.aws.definition(CLUSTER, demo.task))
    assert demo.world.client.secret not in definition
    assert demo.world.client.secret not in demo.said


def test_run_task_says_what_to_enter_in_okta(demo: Demo) -> None:
    address = f"https://{demo.world.network.task}"
    assert f"{address}/authorization-code/callback" in demo.said
    assert f"{address}/\n" in demo.said


# What runs


def test_it_keeps_within_what_the_definition_gives(task: Task) -> None:
    chat = task.container("chat")
    seen = json.loads(
        chat.python(
            "import json, os, pathlib\n"
            "status = pathlib.Path('/proc/self/status').read_text()\n"
            "def writable(path):\n"
            "    try: open(path + '/probe', 'w').close(); return True\n"
            "    except OSError: return False\n"
            "print(json.dumps({'uid': os.getuid(),\n"
            "    'capabilities': status.split('CapEff:')[1].split()[0],\n"
            "    'writable': [p for p in ('/', '/app', '/etc', '/tmp', '/data') if writable(p)],\n"
            "    'first': pathlib.Path('/proc/1/cmdline').read_text().split(chr(0))[:3]}))"
        )
    )
    assert seen["uid"] == 10001
    assert int(seen["capabilities"], 16) == 0
    assert seen["writable"] == ["/tmp", "/data"]
    assert any("gunicorn" in word for word in seen["first"])


def test_it_says_that_messages_go_with_it(task: Task) -> None:
    assert re.search(r"messages .*go with", task.container("chat").log), task.container("chat").log


def test_plain_http_only_leads_to_tls(place: Place) -> None:
    plain = place.url.replace("https:", "http:")
    answer = httpx.get(f"{plain}/chat", timeout=5)
    assert (answer.status_code, answer.headers["location"]) == (308, f"{place.url}/chat")
    assert httpx.get(f"{plain}/healthz", timeout=5).json() == {"ok": True}


def test_two_people_talk(
    browser_person: EnterBrowser,  # noqa: F811
    demo: Demo,
    place: Place,
) -> None:
    """By the address that the provider was told, over TLS, on a quarter of a core."""
    people = [enter(browser_person, place, sub) for sub in ("alice", "bob")]
    pages = [ChatPage(person.sign_in(), person).ready() for person in people]
    for number, (speaker, listener) in enumerate((pages, pages[::-1])):
        speaker.send(f"Can you read this? {number}")
        expect(listener.message(f"Can you read this? {number}")).to_be_visible()
    assert demo.world.provider.refusals == []


def test_signing_out_ends_it_at_the_provider(
    browser_person: EnterBrowser,  # noqa: F811
    demo: Demo,
    place: Place,
) -> None:
    alice = enter(browser_person, place, "alice")
    ChatPage(alice.sign_in(), alice).ready()
    alice.page.get_by_role("button", name="Sign out").click()
    alice.page.wait_for_url(f"{place.url}/**")
    assert demo.world.provider.signed_out[-1] == "alice"


@pytest.mark.usefixtures("playwright")  # only so that it runs after those with browsers
def test_it_leaves_in_time(demo: Demo, task: Task) -> None:
    """Within ten seconds, or it would be killed."""
    demo.make("stop")
    found = demo.aws.ecs.list_tasks(cluster=CLUSTER, desiredStatus="RUNNING")
    assert found["taskArns"] == []
    assert task.container("chat").stop(10) == 0


# What it takes from the image


@pytest.fixture(scope="module")
def without_volumes(workshop: Workshop, image: Image) -> str:
    """The image as it is without the Dockerfile's VOLUME line."""

    def buildah(*arguments: str) -> str:
        command = ["buildah", *arguments]
        environ = workshop.engine.environ
        done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    container = buildah("from", "--pull-never", image.name)
    buildah("config", "--volume", "/tmp-", "--volume", "/data-", container)
    buildah("commit", "--quiet", "--rm", "--format", "docker", container, "localhost/no-volumes")
    return "localhost/no-volumes"


def test_without_its_volumes_declared_it_does_not_come_up(
    demo: Demo, workshop: Workshop, without_volumes: str
) -> None:
    """Fargate's own belong to root: nobody else could write there."""
    (revision,) = demo.aws.ecs.list_task_definitions(familyPrefix=CLUSTER)["taskDefinitionArns"]
    definition = demo.aws.ecs.describe_task_definition(taskDefinition=revision)["taskDefinition"]
    definition["containerDefinitions"][0]["image"] = without_volumes
    world = demo.world
    with (
        fargate.network() as network,
        fargate.running(
            workshop.engine,
            definition,
            demo.aws,
            network,
            environ=world.environ,
            flags=world.flags,
        ) as task,
        pytest.raises(pytest.fail.Exception, match="unable to open database file"),
    ):
        task.wait_until_healthy()
