"""What the container's tests share: an engine, the image, a registry, and AWS as moto plays it.

Each lives for the session and asks for nothing but root and Debian's packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.deploy import base
from tests.deploy.containers import Engine, make_engine
from tests.deploy.registry import Registry
from tests.servers import ROOT, Server, require

NAME = "commons"
REGION = "eu-central-1"
SIGN_OFF = {
    "GIT_AUTHOR_NAME": "Tests",
    "GIT_AUTHOR_EMAIL": "tests@example.com",
    "GIT_COMMITTER_NAME": "Tests",
    "GIT_COMMITTER_EMAIL": "tests@example.com",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
}


@dataclass(frozen=True)
class Image:
    """The image under test; `id` is the digest of its configuration."""

    name: str
    tag: str
    id: str


@dataclass(frozen=True)
class Workshop:
    """A clean clone in which `make` finds this work tree's files, committed, and an engine."""

    folder: Path
    engine: Engine
    base_image: str

    @property
    def commit(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")

    def make(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `make`, with nothing of the developer's own settings."""
        bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        given = {
            "DOCKER": "podman",
            "PYTHON_IMAGE": self.base_image,
            # Where a proxy opens TLS, the machine trusts it, and so must what builds the image.
            "BUILD_FLAGS": f"--secret id=ca,src={bundle}",
            "PYTHON": sys.executable,
        }
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=self.engine.environ | given | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **SIGN_OFF}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def copy_tree(folder: Path) -> None:
    """The files of the work tree that git knows or would take, committed in a clone of their own.

    What is being worked on is what is tested; and `make image` sees a clean commit.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=What is tested")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    engine = make_engine(folder)
    yield engine
    engine.podman("rm", "--all", "--force", "--time", "0", check=False)
    # Its layers are of no use to anyone now, and some hundreds of megabytes.
    engine.podman("system", "reset", "--force", check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    return base.load(engine.environ)


@pytest.fixture(scope="session")
def workshop(engine: Engine, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    copy_tree(folder)
    return Workshop(folder, engine, base_image)


@pytest.fixture(scope="session")
def image(workshop: Workshop) -> Image:
    return make_image(workshop)


def make_image(workshop: Workshop) -> Image:
    """The image, as `make image` makes it of a clean commit."""
    made = workshop.make("image")
    assert made.returncode == 0, made.stdout + made.stderr
    tag = workshop.commit
    name = f"localhost/{NAME}:{tag}"
    identity = workshop.engine.says("image", "inspect", "--format", "{{.Id}}", name)
    return Image(name, tag, f"sha256:{identity.removeprefix('sha256:')}")


# AWS


class Moto(Server):
    """AWS, as moto plays it; ECR names the registry of these tests as its own."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.port = servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        argv = [sys.executable, "-m", "tests.deploy.moto_server", "-p", str(self.port)]
        super().__init__("moto", argv, folder, {"MOTO_ECR_REGISTRY": registry})

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/moto-api/data.json", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="session")
def moto(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server = Moto(tmp_path_factory.mktemp("moto"), registry.host)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def aws_environment(moto: Moto, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What makes the `aws` command and boto3 talk to moto; nothing of the developer's own."""
    scripts = str(Path(sys.executable).parent)
    require((Path(scripts) / "aws").exists(), "awscli (make test-deploy)")
    return {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HOME": str(tmp_path_factory.mktemp("aws")),
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    server = Registry(tmp_path_factory.mktemp("registry"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ecr_password(registry: Registry, aws_environment: dict[str, str]) -> str:
    """The token that `aws ecr get-login-password` gives, which the registry then takes."""
    command = ["aws", "ecr", "get-login-password"]
    done = subprocess.run(
        command, env=aws_environment, capture_output=True, text=True, check=True, timeout=60
    )
    registry.let_in(done.stdout.strip())
    return registry.password
