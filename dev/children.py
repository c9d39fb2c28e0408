"""Child processes that live no longer than the process that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import IO, Self

STOP = signal.SIGTERM  # not SIGINT: a Python program that is still starting would show a traceback
STOP_SECONDS = 5.0
POLL_SECONDS = 0.1


@dataclass
class Child:
    """A running process; `log` is where a quiet one writes, None for one that writes to us."""

    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes] | None


class Children:
    """Starts processes, watches them until one ends or a signal comes, and leaves none behind."""

    def __init__(self) -> None:
        self._running: list[Child] = []
        self._stopping = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_requested)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in self._running:
            child.process.send_signal(STOP)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._running:
            _end(child.process, deadline - time.monotonic())
            if child.log:
                child.log.close()

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, quiet: bool = False
    ) -> None:
        """Start `command`; what a quiet one prints is shown only if it ends by itself."""
        log = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115  lives as long as the child
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT if quiet else None,
            # A group of its own: Ctrl-C reaches this process alone, which then stops the others.
            process_group=0,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._running.append(Child(name, process, log))

    def until(self, ready: Callable[[], bool]) -> bool:
        """Wait until `ready`; False if a child ended first or a signal came."""
        while not self._stopping and self._ended() is None:
            if ready():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def wait(self, *, explain: bool) -> int:
        """Wait for the end, and return the exit code: 0 if it was asked for, else the child's.

        `explain` prints a line about a child that ended by itself.
        """
        self.until(lambda: False)
        ended = self._ended()
        if self._stopping or ended is None:
            return 0
        if ended.log:
            ended.log.seek(0)
            sys.stderr.write(ended.log.read().decode(errors="replace"))
        code = ended.process.returncode
        if explain or ended.log:
            print(f"{ended.name} ended by itself (exit code {code}).", file=sys.stderr)
        return code if code > 0 else 1

    def _ended(self) -> Child | None:
        return next((child for child in self._running if child.process.poll() is not None), None)

    def _stop_requested(self, number: int, frame: FrameType | None) -> None:
        # Only a flag: an exception raised here could come between a process's start and its record.
        self._stopping = True


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        # With its own children (gunicorn's workers), which are in its group.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """In the child, before its program: have Linux stop it even if the parent is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, STOP)
