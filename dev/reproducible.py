"""Two builds of one commit are one image, down to its digest.

So anyone can find out whether what runs is what this code makes, and pushing it again is no change.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from .engine import Engine

# Where an image's configuration describes a container.
CONTAINERS = ("config", "container_config")


def settings(engine: Engine, committed: int) -> tuple[list[str], dict[str, str]]:
    """The flags and the environment of a build in which every file has the commit's time.

    With Docker that holds for what is said of the image; whether it does for its files is up to
    BuildKit's exporter (BUILD_FLAGS=--output=type=…,rewrite-timestamp=true).
    """
    if engine.name == "docker":
        return ["--provenance=false"], {"SOURCE_DATE_EPOCH": str(committed)}
    # A layer kept from another commit's build would have that commit's time. And of the formats,
    # only Docker's knows a HEALTHCHECK.
    return ["--format=docker", "--layers=false", f"--timestamp={committed}"], {}


def settle(engine: Engine, image: str) -> None:
    """Take out what Buildah and Podman write into an image, and is new each time: their container.

    The image is written to a folder and read back, as no engine changes what it has stored.
    """
    if engine.name == "docker":
        return
    first = engine.image_id(image)
    with tempfile.TemporaryDirectory() as folder:
        engine.quiet("push", image, f"dir:{folder}")
        if not _settled(Path(folder)):
            return
        settled = engine.quiet("pull", "--quiet", f"dir:{folder}").split()[-1]
    engine.quiet("tag", settled, image)
    engine.quiet("rmi", first)


def _settled(folder: Path) -> bool:
    """Rewrite an image in the form `dir:`; False if there was nothing to take out."""
    manifest_file = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(manifest_file.read_bytes())
    old = folder / manifest["config"]["digest"].removeprefix("sha256:")
    config: dict[str, Any] = json.loads(old.read_bytes())
    parts = [(config, "container"), *((config.get(key) or {}, "Hostname") for key in CONTAINERS)]
    taken = [part.pop(name, None) for part, name in parts]
    if not any(taken):
        return False
    new = json.dumps(config, separators=(",", ":"), sort_keys=True).encode()
    digest = hashlib.sha256(new).hexdigest()
    old.unlink()
    (folder / digest).write_bytes(new)
    manifest["config"].update(digest=f"sha256:{digest}", size=len(new))
    manifest_file.write_text(json.dumps(manifest), encoding="utf-8")
    return True
