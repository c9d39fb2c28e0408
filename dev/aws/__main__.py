"""`python -m dev.aws TARGET`, as the Makefile's targets of the same names call it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from chat.config import SettingsError

from . import demo, deploy, destroy, logs, secrets, status, urls
from .cli import Failure
from .place import ROOT, Place, here

TARGETS: dict[str, Callable[[Place], None]] = {
    "secrets": secrets.store,
    "run-task": demo.run,
    "url": urls.show,
    "deploy": deploy.deploy,
    "rollback": deploy.rollback,
    "status": status.show,
    "logs": logs.follow,
    "stop": destroy.stop,
    "destroy": destroy.destroy,
}


def main(target: str) -> int:
    """Do what a target promises; returns the exit code."""
    os.chdir(ROOT)
    try:
        TARGETS[target](here())
    except (Failure, SettingsError) as error:
        print(f"make {target}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
