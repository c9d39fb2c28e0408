"""Prints as JSON what is installed where it runs; `dev.sbom` runs it in the image, on its stdin.

So it imports nothing of this project, and tells what is there, not what was asked for.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

STATUS = Path("/var/lib/dpkg/status")


def python_packages() -> list[dict[str, Any]]:
    found = [distribution.metadata for distribution in importlib.metadata.distributions()]
    return [
        {"name": of["Name"], "version": of["Version"], "license": of.json.get("license_expression")}
        for of in found
    ]


def debian_packages() -> list[dict[str, str]]:
    """What dpkg has installed; nothing on a base of another kind."""
    text = STATUS.read_text(encoding="utf-8") if STATUS.exists() else ""
    fields = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if line[:1] > " " and ": " in line)
        for stanza in text.split("\n\n")
    ]
    return [
        {"name": of["Package"], "version": of["Version"], "arch": of["Architecture"]}
        for of in fields
        if of.get("Status", "").endswith(" installed")
    ]


def main() -> None:
    system = platform.freedesktop_os_release()
    inventory = {
        "system": {"id": system["ID"], "version": system.get("VERSION_ID", "")},
        # Debian's own is among its packages; official images have theirs in /usr/local.
        "python": platform.python_version() if sys.base_prefix != "/usr" else None,
        "python_packages": python_packages(),
        "debian_packages": debian_packages(),
    }
    print(json.dumps(inventory))


if __name__ == "__main__":
    main()
