"""`make push`: to ECR as moto plays it, with the token that `aws` gets, and to another registry."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from dev.aws.place import machine
from tests.deploy.conftest import NAME, Image, Workshop
from tests.deploy.containers import Engine
from tests.deploy.registry import Registry

DELETE = ["ecr", "delete-repository", "--force", "--repository-name", NAME]


class Pushing:
    """`make push` in the workshop, with AWS's settings."""

    def __init__(self, workshop: Workshop, registry: Registry, aws: dict[str, str]) -> None:
        self.workshop, self.registry = workshop, registry
        # The registry's own authority, for the engine; moto is asked without TLS.
        self.environ = {**aws, "SSL_CERT_FILE": str(registry.certificate)}
        self.record_file = workshop.folder / "instance" / "image.json"

    def push(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.workshop.make("push", *arguments, **{**self.environ, **environ})

    def refusal(self, *arguments: str, **environ: str) -> str:
        """The one line with which it ends, beside make's own, having recorded nothing."""
        done = self.push(*arguments, **environ)
        assert done.returncode != 0
        assert not self.record_file.exists()
        [line] = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
        return line

    def aws(self, *arguments: str) -> Any:
        command = ["aws", *arguments, "--output", "json"]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout) if done.stdout else None

    @property
    def record(self) -> dict[str, str]:
        return json.loads(self.record_file.read_text())


@pytest.fixture
def pushing(
    workshop: Workshop, registry: Registry, aws_environment: dict[str, str], image: Image
) -> Iterator[Pushing]:
    """With an account that has no repository yet."""
    pushing = Pushing(workshop, registry, aws_environment)
    pushing.record_file.unlink(missing_ok=True)
    yield pushing
    if pushing.aws("ecr", "describe-repositories")["repositories"]:
        pushing.aws(*DELETE)


def test_an_image_is_pushed_to_a_repository_that_is_made_for_it(
    pushing: Pushing, registry: Registry, ecr_password: str, image: Image, engine: Engine
) -> None:
    done = pushing.push()
    assert done.returncode == 0, done.stderr
    [made] = pushing.aws("ecr", "describe-repositories")["repositories"]
    assert made["repositoryName"] == NAME
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    digest, manifest = registry.manifest(NAME, image.tag)
    assert manifest.json()["config"]["digest"] == image.id
    assert pushing.record == {
        "image": f"{registry.host}/{NAME}@{digest}",
        "tag": image.tag,
        "architecture": machine(),
    }
    assert ecr_password not in done.stdout + done.stderr


def test_what_is_pulled_by_digest_is_the_same_image(
    pushing: Pushing, registry: Registry, ecr_password: str, image: Image, engine: Engine
) -> None:
    assert pushing.push().returncode == 0
    login = ["buildah", "login", "--username", "AWS", "--password-stdin", registry.host]
    pull = ["buildah", "pull", "--quiet", pushing.record["image"]]
    environ = engine.environ | {"SSL_CERT_FILE": str(registry.certificate)}
    subprocess.run(login, env=environ, input=ecr_password, text=True, check=True)
    pulled = subprocess.run(pull, env=environ, capture_output=True, text=True, check=True)
    assert f"sha256:{pulled.stdout.strip()}" == image.id


def test_what_is_there_already_is_not_pushed_again(
    pushing: Pushing, registry: Registry, ecr_password: str, image: Image
) -> None:
    assert pushing.push().returncode == 0
    recorded = pushing.record
    tell_ecr(pushing, registry.manifest(NAME, image.tag)[1].text, image.tag)
    again = pushing.push()
    assert again.returncode == 0
    assert f"{registry.host}/{NAME}:{image.tag} is there already." in again.stdout
    assert "login" not in again.stdout
    assert pushing.record == recorded


def test_another_image_under_its_tag_is_an_error(
    pushing: Pushing, registry: Registry, ecr_password: str, image: Image
) -> None:
    assert pushing.push().returncode == 0
    pushing.record_file.unlink()
    manifest = registry.manifest(NAME, image.tag)[1].text
    tell_ecr(pushing, manifest.replace(image.id, f"sha256:{'0' * 64}"), image.tag)
    assert "is there already, built from this commit on another base" in pushing.refusal()


def tell_ecr(pushing: Pushing, manifest: str, tag: str) -> None:
    """What ECR would know from the push: moto's ECR is not the registry that was pushed to."""
    digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    put = ["ecr", "put-image", "--repository-name", NAME, "--image-tag", tag]
    pushing.aws(*put, "--image-manifest", manifest, "--image-digest", digest)


def test_a_token_that_the_registry_does_not_take_is_one_line(
    pushing: Pushing, registry: Registry, ecr_password: str
) -> None:
    registry.let_in("another one")
    line = pushing.refusal()
    assert line.startswith("push: podman login: Error")
    assert registry.host in line
    assert ecr_password not in line


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["AWS_REGION", "AWS_DEFAULT_REGION"], "region"),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "credentials"),
    ],
)
def test_a_missing_aws_setting_is_one_line(
    pushing: Pushing, missing: list[str], named: str
) -> None:
    assert named in pushing.refusal(**dict.fromkeys(missing, ""))


def test_what_no_commit_has_is_not_pushed(pushing: Pushing) -> None:
    new = pushing.workshop.folder / "chat" / "new.py"
    new.touch()
    try:
        assert "commit" in pushing.refusal()
    finally:
        new.unlink()


def test_another_registry_is_asked_without_aws(
    pushing: Pushing, registry: Registry, image: Image, engine: Engine
) -> None:
    registry.let_in("of one's own")
    there = f"REGISTRY={registry.host}/team"
    assert "push: podman push: Error" in pushing.refusal(there)
    login = ["login", "--username", "AWS", "--password-stdin", registry.host]
    environ = engine.environ | {"SSL_CERT_FILE": str(registry.certificate)}
    subprocess.run(["podman", *login], env=environ, input="of one's own", text=True, check=True)
    done = pushing.push(there, AWS_ENDPOINT_URL="", AWS_ACCESS_KEY_ID="")
    assert done.returncode == 0, done.stderr
    digest, _ = registry.manifest(f"team/{NAME}", image.tag)
    assert pushing.record["image"] == f"{registry.host}/team/{NAME}@{digest}"
