"""Push the image of the commit that is checked out: `make push`.

To Amazon's ECR, whose repository is made where it is missing, or with REGISTRY=host[:port][/path]
to any other registry, where one has logged in before. ECR's tags stand for a commit for ever.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import image
from .aws import cli
from .aws.place import here, machine
from .engine import Engine, Failed, find, show

RECORD = image.ROOT / "instance" / "image.json"


@dataclass(frozen=True)
class Push:
    """One commit's image on its way to a repository."""

    engine: Engine
    source: image.Source
    repository: str

    @property
    def target(self) -> str:
        return f"{self.repository}:{self.source.tag}"

    def push(self, local: str) -> str:
        """Push the image that is called `local` here; returns its digest there."""
        if self.engine.name == "docker":
            self.engine.quiet("tag", local, self.target)
            self._run("push", self.target)
            return self._digest_of_docker()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            self._run("push", f"--digestfile={file}", local, f"docker://{self.target}")
            return file.read_text(encoding="utf-8").strip()

    def record(self, digest: str) -> None:
        """Keep what was pushed, for `make run-task` and `make deploy`."""
        RECORD.parent.mkdir(exist_ok=True)
        pushed = {
            "image": f"{self.repository}@{digest}",
            "tag": self.source.tag,
            "architecture": machine(),
        }
        RECORD.write_text(json.dumps(pushed, indent=2) + "\n", encoding="utf-8")
        print(f"Recorded in {RECORD.relative_to(image.ROOT)}: {pushed['image']}")

    def _run(self, *arguments: str) -> None:
        show(self.engine.name, *arguments)
        self.engine.quiet(*arguments)

    def _digest_of_docker(self) -> str:
        inspect = ["image", "inspect", "--format", "{{json .RepoDigests}}"]
        digests: list[str] = json.loads(self.engine.quiet(*inspect, self.target))
        ours = [d for d in digests if d.startswith(f"{self.repository}@")]
        return ours[0].partition("@")[2]


def to_registry(engine: Engine, source: image.Source, registry: str) -> None:
    """Push to a registry where one has logged in already."""
    push = Push(engine, source, f"{registry.rstrip('/')}/{image.name()}")
    digest = push.push(image.ensure(engine, source))
    print(f"Pushed {push.target}")
    push.record(digest)


def to_ecr(engine: Engine, source: image.Source) -> None:
    """Push to the account's own registry, unless that has the image already."""
    place = here()
    push = Push(engine, source, _repository(place.name))
    local = image.ensure(engine, source)
    there = _manifest(place.name, source.tag)
    if there:
        _require_same(engine, local, there, push.target)
        print(f"{push.target} is there already.")
        digest = there["imageId"]["imageDigest"]
    else:
        digest = _log_in_and_push(push, local)
        print(f"Pushed {push.target}")
    push.record(digest)


def _repository(name: str) -> str:
    """The address of the account's repository of this name, which is made where it is missing."""
    try:
        found = cli.ask("ecr", "describe-repositories", "--repository-names", name)
        return str(found["repositories"][0]["repositoryUri"])
    except cli.AwsError as error:
        if error.code != "RepositoryNotFoundException":
            raise
    made = cli.do(
        *["ecr", "create-repository", "--repository-name", name],
        *["--image-scanning-configuration", "scanOnPush=true"],
        *["--image-tag-mutability", "IMMUTABLE"],
        *["--tags", f"Key=app,Value={name}"],
    )
    return str(made["repository"]["repositoryUri"])


def _manifest(name: str, tag: str) -> dict[str, Any] | None:
    """What ECR has under a tag."""
    which = ["--repository-name", name, "--image-ids", f"imageTag={tag}"]
    images = cli.ask("ecr", "batch-get-image", *which)["images"]
    return dict(images[0]) if images else None


def _require_same(engine: Engine, local: str, there: dict[str, Any], target: str) -> None:
    """Refuse if the tag is taken by another image: ECR would, too, as its tags are immutable.

    The configuration's digest is compared, which holds those of the layers: a manifest's also
    depends on how well the engine compresses. (Some of Docker's stores name the manifest's.)
    """
    config = json.loads(there["imageManifest"]).get("config", {}).get("digest")
    if engine.image_id(local) in (config, there["imageId"]["imageDigest"]):
        return
    raise Failed(
        f"{target} is there already, built from this commit on another base or by another engine; "
        "tags are immutable, so commit something, or take what is there"
    )


def _log_in_and_push(push: Push, local: str) -> str:
    """Push with a token that is good for twelve hours, and kept no longer than for this.

    Docker has no file for just one login, and keeps it where it keeps the others.
    """
    host = push.repository.partition("/")[0]
    token = cli.text("ecr", "get-login-password")
    with tempfile.TemporaryDirectory() as folder:
        logins = Path(folder) / "auth.json"
        logins.write_text("{}", encoding="utf-8")
        engine = replace(push.engine, environ={"REGISTRY_AUTH_FILE": str(logins)})
        login = ["login", "--username", "AWS", "--password-stdin", host]
        show("aws", "ecr", "get-login-password", "|", engine.name, *login)
        engine.quiet(*login, given=token)
        return replace(push, engine=engine).push(local)


def main() -> int:
    os.chdir(image.ROOT)
    try:
        source = image.Source.checked_out()
        if not source.clean:
            raise Failed(
                "What is checked out differs from its commit, whose tag it would take: commit first"
            )
        if registry := os.environ.get("REGISTRY"):
            to_registry(find(), source, registry)
        else:
            to_ecr(find(), source)
    except (Failed, cli.Failure) as error:
        print(f"push: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
