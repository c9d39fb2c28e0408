"""The container engine of this machine: Podman, Docker or Buildah, the first that works."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

# Those first that can also run what they built.
ENGINES = ("podman", "docker", "buildah")
INFO_SECONDS = 30


class Failed(Exception):
    """What was asked for can't be done; the message is one line."""


@dataclass(frozen=True)
class Engine:
    """Runs an engine's commands, with `environ` on top of our environment."""

    name: str
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs_containers(self) -> bool:
        return self.name != "buildah"

    def run(self, *arguments: str) -> None:
        """Show a command and run it; what it prints is for the reader. Raises `Failed`."""
        show(self.name, *arguments)
        done = subprocess.run([self.name, *arguments], env=self._environ, check=False)
        if done.returncode:
            raise Failed(f"{self.name} {arguments[0]} failed (exit code {done.returncode})")

    def quiet(self, *arguments: str, given: str | None = None) -> str:
        """Run a command that changes nothing elsewhere; returns what it prints."""
        done = self._try(*arguments, given=given)
        if done.returncode:
            raise Failed(f"{self.name} {arguments[0]}: {last_line(done.stderr)}")
        return done.stdout

    def has_image(self, image: str) -> bool:
        inspect = ["image", "inspect"] if self.runs_containers else ["inspect", "--type", "image"]
        return self._try(*inspect, image).returncode == 0

    def image_id(self, image: str) -> str:
        """The digest of the image's configuration: the same for the same content."""
        inspect = ["image", "inspect", "--format", "{{.Id}}"]
        if not self.runs_containers:
            inspect = ["inspect", "--type", "image", "--format", "{{.FromImageID}}"]
        return "sha256:" + self.quiet(*inspect, image).strip().removeprefix("sha256:")

    def python_in(self, image: str, program: str) -> str:
        """Run a Python program in a container of the image, without a network; what it prints."""
        if self.runs_containers:
            confined = ["--network=none", "--read-only", "--cap-drop=ALL", "--interactive"]
            command = ["run", "--rm", *confined, "--entrypoint=python", image, "-"]
            return self.quiet(*command, given=program)
        container = self.quiet("from", image).strip()
        try:
            return self.quiet("run", container, "--", "python", "-", given=program)
        finally:
            self.quiet("rm", container)

    def works(self) -> bool:
        """Whether the program is there, and behind it an engine."""
        if not shutil.which(self.name):
            return False
        try:
            return self._try("info", timeout=INFO_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self.environ}

    def _try(
        self, *arguments: str, given: str | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.name, *arguments],
            env=self._environ,
            input=given or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def last_line(text: str) -> str:
    """The last thing that a program said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it failed without a word"


def show(*command: str) -> None:
    """Print a command as one would type it."""
    words = (word if word == "|" else shlex.quote(word) for word in command)
    print(f"  $ {' '.join(words)}", flush=True)


def find() -> Engine:
    """The engine that DOCKER names, else the first that works.

    A `docker` without an engine behind it is common, so each is asked. Raises `Failed` if none is.
    """
    wanted = os.environ.get("DOCKER")
    if wanted and wanted not in ENGINES:
        raise Failed(f"DOCKER={wanted} must be one of {', '.join(ENGINES)}")
    for name in [wanted] if wanted else ENGINES:
        if Engine(name).works():
            return Engine(name)
    if wanted:
        raise Failed(f"DOCKER={wanted}: `{wanted} info` fails, so no engine answers there")
    raise Failed(f"No container engine works here: {', '.join(ENGINES)} (`info` of each was asked)")


def flags(variable: str) -> list[str]:
    """More flags for the engine, from the environment, as a shell would split them."""
    return shlex.split(os.environ.get(variable, ""))
