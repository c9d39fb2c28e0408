"""The user's `aws` command: shown, run, and its failures said in one line.

Both major versions will do. Where they differ, that is settled here and in `place`: version 2 opens
a pager, version 1 does not know AWS_REGION.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from typing import Any

SHOWN = 160
NO_REGION = "no AWS region is set: export AWS_REGION=… (or run aws configure)"
NO_ANSWER = "AWS can't be reached"
# What `aws` says, and what is said instead; the first that matches.
MENDS = {
    r"must specify a region": NO_REGION,
    r"Unable to locate credentials|NoCredentials": (
        "no AWS credentials were found: run aws configure, or aws sso login"
    ),
    r"ExpiredToken|RequestExpired|(?i:token|session).* has expired|Error loading SSO": (
        "the AWS credentials have expired: sign in again, as with: aws sso login"
    ),
    r"InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|AuthFailure": (
        "AWS does not take these credentials: see aws configure list"
    ),
    r"Could not connect to the endpoint|[Cc]onnect timeout": NO_ANSWER,
}
SAID = re.compile(r"An error occurred \((?P<code>[\w.]+)\).*? operation(?: \(.*?\))?: (?P<why>.*)")


class Failure(Exception):
    """What was asked for can't be done; the message is one line that names the mend."""


class AwsError(Failure):
    """AWS refused a command. `code` is its name for why, such as `ResourceNotFoundException`."""

    def __init__(self, code: str, line: str) -> None:
        super().__init__(line)
        self.code = code


def say(line: str) -> None:
    """Tell what comes next. Flushed, so that it stands before what a command prints itself."""
    print(line, flush=True)


def ask(*arguments: str) -> Any:
    """Run a command that changes nothing; returns its answer, `{}` where there is none."""
    return _parsed(text(*arguments))


def text(*arguments: str) -> str:
    """Run a command that changes nothing; returns what it prints."""
    return _run(arguments, None, subprocess.PIPE).strip()


def do(*arguments: str, document: object = None, secret: str | None = None) -> Any:
    """Show a command that changes something, and run it; returns its answer.

    `document` is what else it is to know. A `secret` goes to its standard input: a process's
    arguments can be read by everyone on the machine. (Only there: version 1 reads a document twice,
    and a pipe can't be.)
    """
    if document is not None:
        arguments = (*arguments, "--cli-input-json", json.dumps(document))
    if secret is not None:
        arguments = (*arguments, "--secret-string", "file:///dev/stdin")
    show(arguments)
    return _parsed(_run(arguments, secret, subprocess.PIPE))


def follow(*arguments: str) -> None:
    """Show a long command and run it; what it prints goes where ours goes."""
    show(arguments)
    _run(arguments, None, None)


def show(arguments: tuple[str, ...]) -> None:
    """Print a command as one would type it, its longest arguments cut short."""
    flat = (" ".join(word.split()) for word in arguments)
    short = (word if len(word) <= SHOWN else f"{word[:SHOWN]}…" for word in flat)
    say(f"+ {shlex.join(['aws', *short])}")


def _parsed(answer: str) -> Any:
    return json.loads(answer) if answer.strip() else {}


def _run(arguments: tuple[str, ...], given: str | None, stdout: int | None) -> str:
    try:
        done = subprocess.run(
            ["aws", *arguments],  # noqa: S607  the user's own, wherever it is
            env=_environment(),
            input=given or "",  # never ours, where `make destroy` may have its answer
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise Failure("the AWS CLI is not installed: there is no `aws` on PATH") from None
    if done.returncode:
        raise _error(arguments, done.stderr)
    return done.stdout or ""


def _error(arguments: tuple[str, ...], stderr: str) -> AwsError:
    """What a failed command said, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    found = SAID.search(stderr)
    code = found["code"] if found else ""
    why = found["why"].strip() if found else (lines or ["it failed without a word"])[-1]
    for pattern, mend in MENDS.items():
        if re.search(pattern, stderr):
            return AwsError(code, f"{mend} ({why})" if mend is NO_ANSWER else mend)
    return AwsError(code, f"aws {' '.join(arguments[:2])}: {why}")


def _environment() -> dict[str, str]:
    """What `aws` is run with."""
    settled = {"AWS_PAGER": "", "AWS_DEFAULT_OUTPUT": "json", "AWS_CLI_AUTO_PROMPT": "off"}
    return {**os.environ, **settled}
