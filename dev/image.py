"""Build the container image of what is checked out here: `make image`.

A tag names the commit that the image was built from, so that what runs can be looked up. Changes
that no commit has are marked: such an image can be tried, and `make push` refuses it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from . import reproducible
from .engine import Engine, Failed, find, flags

ROOT = Path(__file__).resolve().parent.parent
DIRTY = "-dirty"


@dataclass(frozen=True)
class Source:
    """The commit that is checked out; `clean` if nothing differs from it."""

    revision: str
    committed: int
    clean: bool

    @classmethod
    def checked_out(cls) -> Self:
        revision, committed = _git("log", "-1", "--format=%H %ct").split()
        return cls(revision, int(committed), clean=not _git("status", "--porcelain"))

    @property
    def tag(self) -> str:
        return self.revision + ("" if self.clean else DIRTY)

    @property
    def created(self) -> str:
        """When it was committed (RFC 3339)."""
        return datetime.fromtimestamp(self.committed, UTC).isoformat().replace("+00:00", "Z")


def name() -> str:
    """What the image is called, as is all that AWS is given: NAME."""
    return os.environ.get("NAME") or "commons"


def ensure(engine: Engine, source: Source) -> str:
    """Build the image, unless this very commit's is there; returns its name with its tag."""
    image = f"{name()}:{source.tag}"
    if source.clean and engine.has_image(image):
        print(f"{image} is there already; `make image` builds it anew.")
        return image
    return build(engine, source)


def build(engine: Engine, source: Source) -> str:
    """Build the image; returns its name with its tag."""
    image = f"{name()}:{source.tag}"
    arguments = {
        "REVISION": source.tag,
        "CREATED": source.created,
        "SOURCE": os.environ.get("SOURCE", ""),
        **({"PYTHON_IMAGE": base} if (base := os.environ.get("PYTHON_IMAGE")) else {}),
    }
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    fixed, environ = reproducible.settings(engine, source.committed)
    more = flags("BUILD_FLAGS")
    building = replace(engine, environ={**engine.environ, **environ})
    building.run("build", *fixed, *given, *more, "--tag", image, ".")
    reproducible.settle(engine, image)
    return image


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise Failed("git is missing: the image is named after the commit") from None
    except subprocess.CalledProcessError:
        raise Failed("This is no git clone with a commit: the image is named after it") from None
    return done.stdout.strip()


def main() -> int:
    os.chdir(ROOT)
    try:
        print(f"Built {build(find(), Source.checked_out())}")
    except Failed as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
