"""Write down what is in the image, as CycloneDX: `make sbom`.

What Python and Debian have installed is asked of the image itself. The front-end libraries are
those of the lock file: a few that Vue's and Socket.IO's packages name, too, and browsers never get.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from . import image, inventory
from .engine import Engine, Failed, find

TARGET = image.ROOT / "instance" / "sbom.cdx.json"


def installed(engine: Engine, name: str) -> dict[str, Any]:
    """What is installed in an image, as a program that runs in it finds out."""
    program = Path(inventory.__file__).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(engine.python_in(name, program))
    return found


def components(found: dict[str, Any], lock: dict[str, Any]) -> Iterator[Component]:
    """All that the image is made of, beside the app itself."""
    system = found["system"]
    if found["python"]:
        yield _component("generic", "python", found["python"])
    for package in found["python_packages"]:
        yield _component("pypi", package["name"].lower(), package["version"], package["license"])
    for package in found["debian_packages"]:
        of = {"arch": package["arch"], "distro": f"{system['id']}-{system['version']}"}
        yield _component("deb", package["name"], package["version"], of=of, space=system["id"])
    for path, package in lock["packages"].items():
        if path and not package.get("dev"):
            name = path.rpartition("node_modules/")[2]
            scope, _, last = name.rpartition("/")
            license = package.get("license")
            yield _component("npm", last, package["version"], license, space=scope or None)


def _component(
    kind: str,
    name: str,
    version: str,
    license: str | None = None,
    *,
    of: dict[str, str] | None = None,
    space: str | None = None,
) -> Component:
    """One part; `license` is an SPDX expression."""
    purl = PackageURL(kind, space, name, version, of)
    return Component(
        type=ComponentType.LIBRARY,
        group=space if kind == "npm" else None,
        name=name,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=[LicenseFactory().make_from_string(license)] if license else [],
    )


def bill(engine: Engine, name: str, source: image.Source) -> Bom:
    """The bill of materials of an image: the same for the same image."""
    lock = json.loads((image.ROOT / "package-lock.json").read_text(encoding="utf-8"))
    parts = list(components(installed(engine, name), lock))
    whole = Component(
        type=ComponentType.CONTAINER, name=image.name(), version=source.tag, bom_ref=image.name()
    )
    bom = Bom(components=parts, serial_number=uuid.uuid5(uuid.NAMESPACE_OID, engine.image_id(name)))
    bom.metadata.component = whole
    bom.metadata.timestamp = datetime.fromisoformat(source.created.replace("Z", "+00:00"))
    bom.register_dependency(whole, parts)
    return bom


def main() -> int:
    os.chdir(image.ROOT)
    try:
        engine, source = find(), image.Source.checked_out()
        bom = bill(engine, image.ensure(engine, source), source)
    except Failed as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", encoding="utf-8")
    print(f"{len(bom.components)} parts are in {TARGET.relative_to(image.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
