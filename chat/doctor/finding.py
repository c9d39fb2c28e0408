"""What a check finds, and what it works on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ..config import Settings


class Level(IntEnum):
    """How bad it is, in the numbers of `logging`; from a problem on the exit code is 1."""

    WARNING = logging.WARNING
    PROBLEM = logging.ERROR
    # Nothing can be served: better no start than one that fails again and again.
    FATAL = logging.CRITICAL


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what to do about it: each one line, neither with a secret in it."""

    level: Level
    message: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.mend}" if self.mend else self.message


class Skip(Exception):
    """Raised by a check that has nothing to look at; the message says why."""


@dataclass(frozen=True)
class Reply:
    """The provider's answer to the first question it was asked, as far as others look at it."""

    date: float | None
    heard_at: float


@dataclass
class Case:
    """What is examined, and what one check learned for the next."""

    settings: Settings
    reply: Reply | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def document(self) -> Mapping[str, Any]:
        """The discovery document."""
        if self.metadata is None:
            raise Skip("there is no discovery document")
        return self.metadata


@dataclass(frozen=True)
class Check:
    """One thing to look at; it is skipped if one that it `needs` failed or was skipped itself."""

    name: str
    find: Callable[[Case], Iterator[Finding]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    name: str
    findings: tuple[Finding, ...] = ()
    skipped: str = ""

    @property
    def failed(self) -> bool:
        return any(finding.level >= Level.PROBLEM for finding in self.findings)


def problem(message: str, mend: str = "") -> Finding:
    return Finding(Level.PROBLEM, message, mend)


def fatal(message: str, mend: str = "") -> Finding:
    return Finding(Level.FATAL, message, mend)


def warning(message: str, mend: str = "") -> Finding:
    return Finding(Level.WARNING, message, mend)
