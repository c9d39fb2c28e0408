"""A base image that stands in for `python:3.13-slim-trixie` where no image registry is reached.

Debian's own packages, put together by `debootstrap`. The archive is kept in the user's cache and
made anew each week, or when what goes into it changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.servers import require

NAME = "localhost/commons-test-base"
SUITE = "trixie"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
MAKE_S = 600.0
# What Debian's own slim images leave out.
TRIMMED = [
    *["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"],
    *["var/cache/apt/archives", "var/lib/apt/lists", "var/log"],
]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def archive() -> Path:
    """The base's files as a tar archive: this week's, else made now."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "commons-tests"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"base-{_key()}.tar"
    if not kept.exists():
        _make(kept)
        for old in folder.glob("base-*.tar"):
            if old != kept:
                old.unlink()
    return kept


def load(environ: dict[str, str]) -> str:
    """Put the base into the storage that `environ` names; returns its name there."""

    def buildah(*arguments: str) -> str:
        command = ["buildah", *arguments]
        done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(archive()), "/")
    buildah("config", "--env", f"PATH={PATH}", "--cmd", '["python3"]', container)
    buildah("commit", "--quiet", "--rm", container, NAME)
    return NAME


def _key() -> str:
    year, week, _ = datetime.now(UTC).isocalendar()
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return f"{SUITE}-{year}w{week:02}-{recipe}"


def _make(kept: Path) -> None:
    require(shutil.which("debootstrap") is not None and os.geteuid() == 0, "debootstrap, as root")
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        root, part = Path(folder) / "root", Path(folder) / "part.tar"
        include = f"--include={','.join(PACKAGES)}"
        command = ["debootstrap", "--variant=minbase", include, SUITE, str(root), _mirror()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=MAKE_S)
        for name in TRIMMED:
            _empty(root / name)
        with tarfile.open(part, "w") as tar:
            tar.add(root, ".", filter=_plain)
        part.rename(kept)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """No device files, as an engine brings its own; no bytecode, as official images have none."""
    return None if member.isdev() or member.name.endswith("/__pycache__") else member


def _mirror() -> str:
    """Where this machine gets its own Debian packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)"]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    mirrors = [line.split()[2] for line in lines if line.startswith("Debian main ")]
    require(bool(mirrors), "a Debian mirror in apt's sources")
    return mirrors[0]
