"""The page's libraries: pinned by hash, from whichever npm there is, and complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dev import assets
from tests.servers import ROOT

SCRIPTS = sorted((ROOT / "chat" / "static" / "js").rglob("*.js"))
LOCK = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
PACKAGES = {name: package for name, package in LOCK["packages"].items() if name}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that would have been run, in a folder where their work has been done."""
    called: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(command))
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    monkeypatch.setattr(assets, "VENDOR", tmp_path / "vendor")
    for name, source in assets.LIBRARIES.items():
        path = tmp_path / "node_modules" / source
        path.parent.mkdir(parents=True)
        path.write_text(
            f"export default '{name}';\n//# sourceMappingURL={name}.map\n// é\n", "utf-8"
        )
    return called


def machine_has(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    monkeypatch.setattr(
        assets.shutil, "which", lambda name: f"/bin/{name}" if name in programs else None
    )


def test_each_library_is_copied_without_the_address_of_its_map(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_has(monkeypatch, "node", "npm")
    assets.main()
    assert {path.name for path in assets.VENDOR.iterdir()} == set(assets.LIBRARIES)
    for name in assets.LIBRARIES:
        text = (assets.VENDOR / name).read_text("utf-8")
        assert text == f"export default '{name}';\n// é\n"


def test_the_machines_npm_installs_what_is_locked_and_runs_no_script(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_has(monkeypatch, "node", "npm")
    assets.main()
    [command] = calls
    assert command[:2] == ["/bin/npm", "ci"]
    assert "--ignore-scripts" in command


@pytest.mark.parametrize("programs", [[], ["npm"], ["node"]])
def test_without_node_npm_comes_from_pypi_pinned_by_hash(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, programs: list[str]
) -> None:
    machine_has(monkeypatch, *programs)
    assets.main()
    pip, npm = calls
    assert pip[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--require-hashes" in pip
    assert pip[-2:] == ["-r", "requirements-node.txt"]
    assert npm[0] == str(Path(sys.executable).with_name("npm"))


def test_what_the_page_imports_is_copied() -> None:
    imported = {
        name
        for script in SCRIPTS
        for name in re.findall(r'from "[./]*/vendor/([^"]+)"', script.read_text("utf-8"))
    }
    assert imported == set(assets.LIBRARIES)


def test_the_page_imports_from_no_other_place() -> None:
    for script in SCRIPTS:
        for source in re.findall(r'(?:from|import)\s*\(?"([^"]+)"', script.read_text("utf-8")):
            assert source.startswith("."), f"{script.name} imports {source}"


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_package_is_locked_by_hash_and_to_no_registry(name: str) -> None:
    assert PACKAGES[name]["integrity"].startswith("sha512-")
    assert "resolved" not in PACKAGES[name]
