"""The command itself: runs the checks, tells what each found, and ends with 1 if one failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click
from flask import Flask

from .. import config
from . import checks, settings, uris
from .finding import Case, Level, Result

Write = Callable[[str], None]
SIGNS = {Level.WARNING: "warn", Level.PROBLEM: "FAIL", Level.FATAL: "FAIL"}


def init_app(app: Flask) -> None:
    app.cli.add_command(doctor)


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Only what needs no network.")
@click.pass_context
def doctor(context: click.Context, quick: bool) -> None:
    """Look for mistakes in settings and surroundings; each is told with its mend."""
    context.exit(examine(click.echo, quick=quick))


def examine(write: Write, environ: Mapping[str, str] | None = None, *, quick: bool = False) -> int:
    """Tell what is wrong, a few lines each; return the exit code, 1 if there is a problem."""
    first = Result("settings", tuple(settings.find(environ)))
    _tell(write, first)
    results = [first]
    if first.failed:
        write("skip  all else: it is looked at when the settings are sound")
    else:
        sound = config.from_environment(environ)
        for result in checks.examine(checks.QUICK if quick else checks.everything(), Case(sound)):
            _tell(write, result)
            results.append(result)
        write(f"\n{uris.to_enter(sound)}")
    write(f"\n{_sum(results)}")
    return 1 if any(result.failed for result in results) else 0


def _tell(write: Write, result: Result) -> None:
    if result.skipped:
        write(f"skip  {result.name}: {result.skipped}")
    elif not result.findings:
        write(f"ok    {result.name}")
    for finding in result.findings:
        write(f"{SIGNS[finding.level]}  {result.name}: {finding.message}")
        if finding.mend:
            write(f"      → {finding.mend}")


def _sum(results: list[Result]) -> str:
    levels = [finding.level for result in results for finding in result.findings]
    warnings = levels.count(Level.WARNING)
    counts = {"problem": len(levels) - warnings, "warning": warnings}
    told = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
    return ", ".join(told) or "Nothing is wrong."
