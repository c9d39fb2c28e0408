"""A small stand-in for Fargate: it runs, with Podman, exactly what a registered task says.

It asks ECS for the task and its definition, fetches the secrets, and gives the task a network
interface with an address of its own, as `awsvpc` does. What Fargate does with volumes it does too:
they belong to root and nobody else may write there, unless the image declares them.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.deploy.containers import Container, Engine, run_container
from tests.servers import require

Json = dict[str, Any]
POLL_S = 0.5
_numbers = itertools.count(os.getpid() % 200 + 1)


@dataclass(frozen=True)
class Network:
    """A network with two hosts: this machine, and the task."""

    namespace: str
    here: str
    task: str


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make a network interface for a task, and take it away at the end."""
    require(shutil.which("ip") is not None and os.geteuid() == 0, "ip (iproute2), as root")
    number = next(_numbers)
    name, inner, outer = f"task-{number}", f"eth-{number}", f"veth-{number}"
    made = Network(name, f"10.77.{number}.1", f"10.77.{number}.2")
    try:
        _ip("netns", "add", name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _ip("address", "add", f"{made.here}/30", "dev", outer)
        _ip("link", "set", outer, "up")
        for command in (
            ["address", "add", f"{made.task}/30", "dev", inner],
            ["link", "set", inner, "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-netns", name, *command)
        yield made
    finally:
        # Its interfaces go with it.
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)


class Aws:
    """What the agent asks of AWS."""

    def __init__(self, url: str, region: str) -> None:
        session = boto3.Session("testing", "testing", region_name=region)
        self.ecs = session.client("ecs", endpoint_url=url)
        self.ecr = session.client("ecr", endpoint_url=url)
        self.secrets = session.client("secretsmanager", endpoint_url=url)

    def definition(self, cluster: str, task: str) -> Json:
        found = self.ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
        asked = {"taskDefinition": found["taskDefinitionArn"]}
        definition: Json = self.ecs.describe_task_definition(**asked)["taskDefinition"]
        return definition

    def password(self) -> str:
        """What the registry takes from the agent."""
        (given,) = self.ecr.get_authorization_token()["authorizationData"]
        return base64.b64decode(given["authorizationToken"]).decode().removeprefix("AWS:")

    def secret(self, value_from: str) -> str:
        """`arn:…:secret:name`, or that with `:key::`, a key of the JSON in it."""
        parts = value_from.split(":")
        text = self.secrets.get_secret_value(SecretId=":".join(parts[:7]))["SecretString"]
        key = parts[7] if len(parts) > 7 else ""
        return str(json.loads(text)[key]) if key else str(text)


@dataclass
class Task:
    """A task that runs."""

    containers: dict[str, Container]
    definition: Json

    def container(self, name: str) -> Container:
        return self.containers[name]

    def wait_until_healthy(self) -> float:
        """Until each health check is content, within what its definition allows; in seconds."""
        started = time.monotonic()
        for given in self.definition["containerDefinitions"]:
            wait_until_healthy(self.containers[given["name"]], given["healthCheck"])
        return time.monotonic() - started

    def stop(self) -> dict[str, int]:
        """SIGTERM, and SIGKILL after `stopTimeout`; the exit codes."""
        given = self.definition["containerDefinitions"]
        return {c["name"]: self.containers[c["name"]].stop(c.get("stopTimeout", 30)) for c in given}


def wait_until_healthy(container: Container, check: Json) -> None:
    """Run the health command until it succeeds; fails the test when Fargate would give up."""
    allowed = check["startPeriod"] + check["retries"] * check["interval"]
    deadline = time.monotonic() + allowed
    while not _is_healthy(container, check):
        if not container.running or time.monotonic() > deadline:
            pytest.fail(f"not healthy after {allowed} s:\n{container.log}")
        time.sleep(POLL_S)


def _is_healthy(container: Container, check: Json) -> bool:
    kind, *command = check["command"]
    assert kind == "CMD", "there need be no shell in an image"
    tried = ["podman", "exec", container.name, *command]
    try:
        done = subprocess.run(
            tried, env=container.engine.environ, capture_output=True, timeout=check["timeout"]
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def pull(engine: Engine, image: str, password: str, certificate: Path) -> str:
    """Get an image from the registry, which `certificate` vouches for; returns its id."""
    command = ["podman", "pull", "--quiet", "--creds", f"AWS:{password}", image]
    environ = engine.environ | {"SSL_CERT_FILE": str(certificate)}
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextlib.contextmanager
def running(
    engine: Engine,
    definition: Json,
    aws: Aws,
    network: Network,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
) -> Iterator[Task]:
    """Run a task. `environ` and `flags` are what the world around adds, for all its containers."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fargate-")))
        volumes = Volumes(engine, folder)
        stack.callback(volumes.remove)
        containers: dict[str, Container] = {}
        for given in definition["containerDefinitions"]:
            for needed in given.get("dependsOn", []):
                before = _definition(definition, needed["containerName"])
                wait_until_healthy(containers[needed["containerName"]], before["healthCheck"])
            containers[given["name"]] = stack.enter_context(
                run_container(
                    engine,
                    given["image"],
                    env=_environ(given, aws) | dict(environ or {}),
                    network=f"ns:/run/netns/{network.namespace}",
                    memory=f"{definition['memory']}m",
                    cpus=str(int(definition["cpu"]) / 1024),
                    user=given.get("user"),
                    volumes=volumes.of(given),
                    flags=[*_flags(given), *flags],
                    command=given.get("command", []),
                    entrypoint=given.get("entryPoint", []),
                )
            )
        yield Task(containers, definition)


def _definition(definition: Json, name: str) -> Json:
    found: Json = next(c for c in definition["containerDefinitions"] if c["name"] == name)
    return found


def _environ(given: Json, aws: Aws) -> dict[str, str]:
    plain = {pair["name"]: pair["value"] for pair in given.get("environment", [])}
    secret = {pair["name"]: aws.secret(pair["valueFrom"]) for pair in given.get("secrets", [])}
    return plain | secret


def _flags(given: Json) -> list[str]:
    """What `run_container` has no argument for. It is read-only, and without capabilities."""
    assert given["readonlyRootFilesystem"] is True
    assert given["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    controls = given.get("systemControls", [])
    flags = [f"--sysctl={c['namespace']}={c['value']}" for c in controls]
    flags.append("--ulimit=nproc=4096:4096")  # Podman's own default is more than it may set here
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in given.get("ulimits", []):
        # This machine may not give what Fargate gives.
        soft, hard = (min(limit[kind], most) for kind in ("softLimit", "hardLimit"))
        flags.append(f"--ulimit={limit['name']}={soft}:{hard}")
    return flags


class Volumes:
    """The task's own volumes, as Fargate makes them."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.made: list[str] = []

    def of(self, given: Json) -> list[str]:
        """Podman's `--volume` for the mount points of a container."""
        declared = self.engine.says(
            "image", "inspect", "--format", "{{json .Config.Volumes}}", given["image"]
        )
        return [
            self._volume(mount, mount["containerPath"] in (json.loads(declared) or {}))
            for mount in given.get("mountPoints", [])
        ]

    def _volume(self, mount: Json, declared: bool) -> str:
        path, source = mount["containerPath"], mount["sourceVolume"]
        if declared:
            # Podman fills a new volume with what the image has there, owner and mode included.
            name = f"{self.folder.name}-{source}"
            self.made.append(name)
            return f"{name}:{path}"
        folder = self.folder / source
        folder.mkdir(mode=0o755, exist_ok=True)
        return f"{folder}:{path}"

    def remove(self) -> None:
        self.engine.podman("volume", "rm", "--force", *self.made, check=False)
