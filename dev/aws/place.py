"""Where things are put, and what they are called: all names come from NAME, region and account."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from . import cli
from .cli import Failure

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
ARCHITECTURES = ("X86_64", "ARM64")


@dataclass(frozen=True)
class Place:
    """An account's region. What belongs to the demo alone has a name of its own there.

    So the stack never meets a log group or a cluster that the demo has made before it, and
    removing one leaves the other in peace.
    """

    name: str
    region: str
    account: str
    partition: str

    @property
    def okta_secret(self) -> str:
        return f"{self.name}/okta"

    @property
    def app_secret(self) -> str:
        return f"{self.name}/app"

    @property
    def demo(self) -> str:
        """The demo's cluster, task family, roles' prefix and security group."""
        return f"{self.name}-demo"

    @property
    def demo_logs(self) -> str:
        return f"/{self.demo}"

    def arn(self, service: str, rest: str, *, region: str | None = None) -> str:
        return f"arn:{self.partition}:{service}:{region or self.region}:{self.account}:{rest}"

    def tags(self, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        """The mark on all that is made; services spell the fields' names differently."""
        return [{key: "app", value: self.name}]


def here() -> Place:
    """The place that NAME and the user's AWS settings mean; raises `Failure`."""
    name = setting("NAME") or "commons"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}[a-z0-9]", name):
        raise Failure(
            f"NAME={name!r} must be 2 to 25 lower-case letters, digits and dashes: NAME=commons"
        )
    region = _region()
    os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region  # one for either version
    caller = cli.ask("sts", "get-caller-identity")
    cli.say(f"AWS account {caller['Account']}, region {region}, name {name}")
    return Place(name, region, caller["Account"], caller["Arn"].split(":")[1])


def setting(name: str) -> str | None:
    """A setting of a target, from the environment; blank counts as unset."""
    return os.environ.get(name, "").strip() or None


def given(name: str) -> str | None:
    """A setting that may also be given empty."""
    return os.environ[name].strip() if name in os.environ else None


def image() -> str:
    """The image that `make push` pushed last, by its digest; raises `Failure`."""
    return str(_pushed()["image"])


def architecture() -> str:
    """What tasks run on: what the image was built for, unless someone says otherwise."""
    wanted = setting("ARCHITECTURE") or str(_pushed().get("architecture") or machine())
    if wanted not in ARCHITECTURES:
        raise Failure(f"ARCHITECTURE={wanted!r} must be {' or '.join(ARCHITECTURES)}")
    return wanted


def machine() -> str:
    """What this machine is, and so what it builds images for."""
    return "ARM64" if platform.machine() in ("arm64", "aarch64") else "X86_64"


def _pushed() -> dict[str, str]:
    try:
        record = json.loads((ROOT / "instance/image.json").read_text(encoding="utf-8"))
        return {"image": record["image"], **record}
    except (OSError, ValueError, KeyError, TypeError):
        raise Failure("no image was pushed from here yet: run make push") from None


def _region() -> str:
    region = setting("AWS_REGION") or setting("AWS_DEFAULT_REGION")
    if not region:
        try:
            region = cli.text("configure", "get", "region")
        except cli.AwsError:
            region = None
    if not region:
        raise Failure(cli.NO_REGION)
    return region
