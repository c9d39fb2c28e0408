"""Containers as Fargate would run them: Podman with runc, in a storage of the tests' own.

    with run_container(engine, image.name, env=settings) as container:
        container.wait_until_healthy()

A container has by default half a gigabyte and a quarter of a core, a read-only root, no capability,
and the network of this machine, so that a port on loopback is what its PORT says. There is no
bridge: `network="ns:/run/netns/NAME"` puts it into a network namespace instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.servers import free_port, require, wait_for

COMMAND_S = 600.0
START_S = 60.0
TOOLS = ("buildah", "podman", "runc")
# A read-only root as Fargate has it, which adds no tmpfs of its own; runc, as crun refuses some
# layouts of cgroups; ulimits that any machine may set.
CONFINED = [
    *["--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL"],
    *["--security-opt", "no-new-privileges"],
]
STORAGE_CONF = """\
[storage]
driver = "{driver}"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
# State and locks of its own too, or `podman system reset` here would confuse a Podman elsewhere.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
lock_type = "file"
tmp_dir = "{folder}/libpod"
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class EngineError(Exception):
    """Podman did not do what it was asked to; with its words."""


@dataclass(frozen=True)
class Engine:
    """Podman and Buildah with a storage of their own; `environ` makes any command use it."""

    folder: Path
    environ: dict[str, str]

    def podman(
        self, *arguments: str, check: bool = True, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["podman", *arguments],
            env=self.environ,
            input=given or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        if check and done.returncode:
            raise EngineError(f"podman {arguments[0]}: {done.stderr}")
        return done

    def says(self, *arguments: str) -> str:
        """What a Podman command prints."""
        return self.podman(*arguments).stdout.strip()


def make_engine(folder: Path) -> Engine:
    require(all(map(shutil.which, TOOLS)) and os.geteuid() == 0, f"{', '.join(TOOLS)}, as root")
    driver = os.environ.get("TEST_STORAGE_DRIVER", "overlay")
    storage, containers = folder / "storage.conf", folder / "containers.conf"
    logins = folder / "auth.json"
    logins.write_text("{}")
    storage.write_text(STORAGE_CONF.format(driver=driver, folder=folder))
    containers.write_text(CONTAINERS_CONF.format(folder=folder))
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TZ") if key in os.environ}
    environ = kept | {
        "HOME": str(folder),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "CONTAINERS_CONF": str(containers),
        "REGISTRY_AUTH_FILE": str(logins),
        # This may run where no further namespaces are to be had.
        "BUILDAH_ISOLATION": "chroot",
    }
    return Engine(folder, environ)


@dataclass
class Container:
    """A container that was started. Its log can be read after it ended, too."""

    engine: Engine
    name: str
    environ: Mapping[str, str]
    started: float = field(default_factory=time.monotonic)

    @property
    def log(self) -> str:
        done = self.engine.podman("logs", self.name, check=False)
        return done.stdout + done.stderr

    @property
    def running(self) -> bool:
        return self._state("Running") == "true"

    @property
    def exit_code(self) -> int:
        return int(self._state("ExitCode"))

    @property
    def pid(self) -> int:
        """Its first process, as this machine counts."""
        return int(self._state("Pid"))

    @property
    def url(self) -> str:
        """Where it answers, if it has this machine's network."""
        scheme = "https" if "TLS" in self.environ or "TLS_CERT_FILE" in self.environ else "http"
        return f"{scheme}://localhost:{self.environ['PORT']}"

    def exec(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return self.engine.podman("exec", self.name, *command, check=check)

    def python(self, code: str) -> str:
        """What a Python program prints in it; there need be no shell."""
        return self.exec("python", "-c", code).stdout.strip()

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", verify=False, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_healthy(self, seconds: float = START_S) -> None:
        """Until /healthz answers; fails the test if it ends before."""
        wait_for(lambda: self.answers() or not self.running, seconds, f"{self.name}\n{self.log}")
        assert self.running, self.log

    def wait_for_end(self, seconds: float) -> int:
        """Until it ends by itself; returns its exit code."""
        wait_for(lambda: not self.running, seconds, f"the end of {self.name}\n{self.log}")
        return self.exit_code

    def stop(self, grace: int = 60) -> int:
        """SIGTERM, after `grace` seconds SIGKILL; returns its exit code."""
        self.engine.podman("stop", "--time", str(grace), self.name)
        return self.exit_code

    def health(self) -> int:
        """Run the image's HEALTHCHECK once; returns 0 if it is content."""
        return self.engine.podman("healthcheck", "run", self.name, check=False).returncode

    def cgroup(self, controller: str) -> Path:
        """Where the kernel keeps account of it."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                return Path("/sys/fs/cgroup" + path)
            if controller in controllers.split(","):
                return Path(f"/sys/fs/cgroup/{controllers}{path}")
        raise LookupError(controller)

    def _state(self, key: str) -> str:
        return self.engine.says("inspect", "--format", f"{{{{.State.{key}}}}}", self.name)


@contextlib.contextmanager
def run_container(
    engine: Engine,
    image: str,
    *,
    env: Mapping[str, str],
    network: str = "host",
    memory: str = "512m",
    cpus: str = "0.25",
    user: str | None = None,
    volumes: Sequence[str] = (),
    flags: Sequence[str] = (),
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = (),
    health: bool = False,
) -> Iterator[Container]:
    """Start a container, and remove it at the end with its volumes.

    Without a PORT in `env` it gets a free one. `volumes` are Podman's `--volume`, `flags` any more
    of its options. With `health` it can be asked for `Container.health`.
    """
    environ = {"PORT": str(free_port()), **env}
    name = f"commons-{uuid.uuid4().hex[:12]}"
    options = ["--name", name, "--network", network, "--memory", memory, "--cpus", cpus]
    options += [*CONFINED, *(["--user", user] if user else [])]
    options += [part for volume in volumes for part in ("--volume", volume)]
    options += [part for pair in environ.items() for part in ("--env", "=".join(pair))]
    options += [] if health else ["--no-healthcheck"]
    options += ["--entrypoint", json.dumps(list(entrypoint))] if entrypoint else []
    try:
        engine.podman("run", "--detach", *options, *flags, image, *command)
        yield Container(engine, name, environ)
    finally:
        engine.podman("rm", "--force", "--volumes", "--time", "0", name, check=False)
