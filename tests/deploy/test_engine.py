"""Which engine `make image` takes, and what it asks of it: stand-ins write down their calls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import copy_tree, git

STAND_IN = """#!/bin/sh
echo "${{0##*/}} $*" >>"${{0%/*}}/calls"
[ "$1" != info ] || exit {info}
[ "$1" != build ] || exit {build}
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    copy_tree(folder)
    return folder


class Bench:
    """A clean clone beside engines that only pretend."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self.tree, self.tools = folder / "tree", folder / "tools"
        git(folder, "clone", "--quiet", str(tree), "tree")
        self.tools.mkdir()

    def install(self, name: str, *, works: bool, build: int = 1) -> None:
        tool = self.tools / name
        tool.write_text(STAND_IN.format(info=0 if works else 1, build=build))
        tool.chmod(0o755)

    def make(self, target: str, **environ: str) -> subprocess.CompletedProcess[str]:
        # Beside the stand-ins there is what is needed, and no engine of the machine's own.
        for name in ("git", "sh"):
            path = Path("/usr/bin") / name
            (self.tools / name).unlink(missing_ok=True)
            (self.tools / name).symlink_to(path)
        return subprocess.run(
            ["/usr/bin/make", target],
            cwd=self.tree,
            env={
                "PATH": str(self.tools),
                "PYTHON": sys.executable,
                "HOME": str(self.tree),
                **environ,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        return (self.tools / "calls").read_text().splitlines()

    @property
    def build(self) -> str:
        [build] = [call for call in self.calls if " build " in call]
        return build


@pytest.fixture
def bench(tree: Path, tmp_path: Path) -> Bench:
    return Bench(tree, tmp_path)


def test_a_docker_without_an_engine_is_passed_over(bench: Bench) -> None:
    bench.install("docker", works=False)
    bench.install("buildah", works=True)
    bench.make("image")
    assert bench.calls[:2] == ["docker info", "buildah info"]
    assert bench.build.startswith("buildah build ")


def test_docker_names_the_engine(bench: Bench) -> None:
    bench.install("podman", works=True)
    bench.install("docker", works=True)
    bench.make("image", DOCKER="docker")
    assert bench.calls[0] == "docker info"
    assert bench.build.startswith("docker build ")


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "No container engine works here"), ("podman", "DOCKER=podman"), ("rkt", "DOCKER=rkt")],
)
def test_where_there_is_none_it_is_one_line(bench: Bench, given: str, said: str) -> None:
    bench.install("docker", works=False)
    done = bench.make("image", DOCKER=given)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert line.startswith(f"image: {said}")


def test_the_command_is_shown_before_it_is_run(bench: Bench) -> None:
    bench.install("podman", works=True)
    done = bench.make("image", BUILD_FLAGS="--secret 'id=ca,src=a b'", PYTHON_IMAGE="mine:1")
    [shown] = [line for line in done.stdout.splitlines() if line.startswith("  $ ")]
    assert shown.replace("'", "") == f"  $ {bench.build}"
    assert "--build-arg=PYTHON_IMAGE=mine:1 --secret id=ca,src=a b --tag" in bench.build


def test_a_build_that_fails_is_said_and_is_an_error(bench: Bench) -> None:
    bench.install("podman", works=True, build=3)
    done = bench.make("image")
    assert done.returncode != 0
    assert "image: podman build failed (exit code 3)" in done.stderr


def test_a_tag_is_the_commit_s_and_marks_what_no_commit_has(bench: Bench) -> None:
    bench.install("podman", works=True)
    commit = git(bench.tree, "rev-parse", "HEAD")
    bench.make("image", NAME="ours")
    assert f" --tag ours:{commit} ." in bench.build
    assert f"--build-arg=REVISION={commit} " in bench.build
    (bench.tools / "calls").unlink()
    (bench.tree / "chat" / "new.py").touch()
    bench.make("image", NAME="ours")
    assert f" --tag ours:{commit}-dirty ." in bench.build


# make image-run


def image_run(tree: Path, *, engine: str = "podman", **environ: str) -> str:
    """The one line with which it refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.image_run"],
        cwd=tree,
        env={"PATH": os.environ["PATH"], "DOCKER": engine, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    return line


def test_running_without_okta_is_one_line_with_the_addresses_to_enter(tree: Path) -> None:
    line = image_run(tree, OKTA_OAUTH2_CLIENT_ID="0oa1")
    assert line.startswith("image-run: OKTA_OAUTH2_ISSUER, OKTA_OAUTH2_CLIENT_SECRET missing")
    assert "https://localhost:5001/authorization-code/callback" in line
    assert line.endswith("https://localhost:5001/")


OKTA = {
    "OKTA_DOMAIN": "dev-1.okta.com",
    "OKTA_OAUTH2_CLIENT_ID": "0oa1",
    "OKTA_OAUTH2_CLIENT_SECRET": "hush",
}


def test_an_engine_that_runs_nothing_is_named(bench: Bench) -> None:
    bench.install("buildah", works=True)
    path = f"{bench.tools}:{os.environ['PATH']}"
    assert "Buildah builds" in image_run(bench.tree, engine="buildah", PATH=path, **OKTA)
