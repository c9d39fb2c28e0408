"""Measure the image, for docs/operations.md: `python -m tests.deploy.figures [times]`.

As root, with what `make test-deploy` needs; each figure is the median of several.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.deploy import base
from tests.deploy.conftest import Image, Workshop, copy_tree, make_image
from tests.deploy.containers import Container, Engine, make_engine, run_container
from tests.deploy.test_image import SETTINGS

TIMES = 5
MIB = 1 << 20
IDLE_AFTER_S = 5.0
POLL_S = 0.01
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname, UNVERIFIED.verify_mode = False, ssl.CERT_NONE
TLS = {**SETTINGS, "TLS": "self-signed"}


def megabytes(engine: Engine, image: Image, folder: Path) -> float:
    """The layers as a registry has them: millions of bytes, compressed."""
    push = ["buildah", "push", "--quiet", image.name, f"dir:{folder}"]
    subprocess.run(push, env=engine.environ, check=True)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    return sum(layer["size"] for layer in manifest["layers"]) / 1e6


def answers(container: Container) -> bool:
    """As `Container.answers`, but at a cost that does not show in what is measured."""
    port = int(container.environ["PORT"])
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            _speak(container, plain) as s,
        ):
            s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return s.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _speak(container: Container, plain: socket.socket) -> socket.socket:
    return UNVERIFIED.wrap_socket(plain) if "TLS" in container.environ else plain


def start_seconds(container: Container) -> float:
    """From when the engine has started it until /healthz answers."""
    while not answers(container):
        time.sleep(POLL_S)
    ended = time.time()
    said = container.engine.says("inspect", "--format", "{{json .State.StartedAt}}", container.name)
    # To microseconds: Python's clock knows no more.
    head, _, rest = json.loads(said).partition(".")
    digits = "".join(character for character in rest[:6] if character.isdigit())
    zone = rest.lstrip("0123456789")
    return ended - datetime.fromisoformat(f"{head}.{digits:0<6}{zone}").timestamp()


def idle_mib(container: Container) -> float:
    """What the kernel counts against the limit and can't take back: memory not of a file."""
    start_seconds(container)
    time.sleep(IDLE_AFTER_S)
    lines = (container.cgroup("memory") / "memory.stat").read_text().splitlines()
    counted = dict(line.split() for line in lines)
    # Of cgroups version 2 and 1.
    return int(counted.get("anon") or counted["total_rss"]) / MIB


def stop_seconds(container: Container) -> float:
    """From SIGTERM to the end, which must be in good order."""
    start_seconds(container)
    asked = time.monotonic()
    assert container.stop() == 0
    return time.monotonic() - asked


def median(
    engine: Engine,
    image: Image,
    measure: Callable[[Container], float],
    times: int,
    *,
    cpus: str,
    env: dict[str, str],
) -> str:
    """Measure in fresh containers; the median, and how far they are apart."""
    found = []
    for _ in range(times):
        with run_container(engine, image.name, env=env, cpus=cpus) as container:
            found.append(measure(container))
    return f"{statistics.median(found):6.2f}   ({min(found):.2f} to {max(found):.2f})"


def tell(what: str, figure: str) -> None:
    print(f"{what:32} {figure}", flush=True)  # noqa: T201  that is what it is for


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("engine", "workshop", "layers"):
            (folder / part).mkdir()
        engine = make_engine(folder / "engine")
        copy_tree(folder / "workshop")
        image = make_image(Workshop(folder / "workshop", engine, base.load(engine.environ)))
        tell("MB of compressed layers", f"{megabytes(engine, image, folder / 'layers'):6.2f}")
        for what, measure, cpus, env in (
            ("s to /healthz, 2 cores, TLS", start_seconds, "2", TLS),
            ("s to /healthz, 2 cores, plain", start_seconds, "2", SETTINGS),
            ("s to /healthz, 1/4 core, TLS", start_seconds, "0.25", TLS),
            ("s to /healthz, 1/4 core, plain", start_seconds, "0.25", SETTINGS),
            ("MiB idle, plain", idle_mib, "2", SETTINGS),
            ("MiB idle, TLS", idle_mib, "2", TLS),
            ("s from SIGTERM to the end", stop_seconds, "0.25", TLS),
        ):
            tell(what, median(engine, image, measure, times, cpus=cpus, env=env))
        engine.podman("system", "reset", "--force", check=False)
        shutil.rmtree(folder / "engine", ignore_errors=True)


if __name__ == "__main__":
    main()
