"""Put the libraries that the chat page loads into `chat/static/vendor/`, from the npm registry.

They are pinned by hash in package-lock.json and served by the app itself, so that a browser asks no
other host for them. Run by `make` whenever the lock file changes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "chat" / "static" / "vendor"
LIBRARIES = {
    # The runtime build: the template compiler would need 'unsafe-eval' in the CSP.
    "vue.js": "vue/dist/vue.runtime.esm-browser.prod.js",
    "socket.io.js": "socket.io-client/dist/socket.io.esm.min.js",
    "htm.js": "htm/dist/htm.module.js",
}
# The maps are not served, and a browser's developer tools would ask for them and get a 404.
SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)


def main() -> None:
    """Fetch the packages and copy the one file of each that browsers need."""
    command = [npm(), "ci", "--ignore-scripts", "--no-progress", "--silent"]
    subprocess.run(command, cwd=ROOT, check=True)
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, source in LIBRARIES.items():
        code = (ROOT / "node_modules" / source).read_text(encoding="utf-8")
        (VENDOR / name).write_text(SOURCE_MAP.sub("", code), encoding="utf-8")


def npm() -> str:
    """The npm of this machine, or else the one that PyPI carries."""
    if shutil.which("node") and (found := shutil.which("npm")):
        return found
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
    subprocess.run([*pip, "-r", "requirements-node.txt"], cwd=ROOT, check=True)
    return str(Path(sys.executable).with_name("npm"))


if __name__ == "__main__":
    main()
