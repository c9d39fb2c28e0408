"""Which checks there are, in their order, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..config import Settings, SettingsError
from . import certificate, surroundings
from .finding import Case, Check, Finding, Level, Result, Skip, problem

TIMEOUT_S = 8.0  # above that of each question within a check, which says more when it strikes

QUICK = (
    Check("certificate", certificate.find),
    Check("proxies", surroundings.proxies),
    Check("processes", surroundings.processes),
    Check("disk", surroundings.disk),
    Check("descriptors", surroundings.descriptors),
)


def look_at_start(settings: Settings, tell: Callable[[int, str], None]) -> None:
    """Tell what can be found without the network, each with its level of `logging`.

    Raises `SettingsError` for what nothing could be served with.
    """
    results = examine(QUICK, Case(settings))
    findings = [finding for result in results for finding in result.findings]
    for finding in sorted(findings, key=lambda finding: finding.level):
        if finding.level is Level.FATAL:
            raise SettingsError(str(finding))
        tell(finding.level, str(finding))


def everything() -> tuple[Check, ...]:
    """All checks; those of the network need a process that gevent has patched."""
    from . import address, bus, client, provider, store

    asking = (
        Check("provider", provider.discovery),
        Check("clock", provider.clock),
        Check("issuer", provider.issuer, needs=("provider",)),
        Check("groups", provider.groups, needs=("issuer",)),
        Check("client", client.credentials, needs=("issuer",)),
        Check("redirect URI", client.redirect_uri, needs=("client",)),
        Check("store", store.reach),
        Check("schema", store.schema, needs=("store",)),
        Check("bus", bus.find),
        Check("address", address.find),
    )
    return (*QUICK, *(replace(check, find=_bounded(check.find)) for check in asking))


def examine(checks: Sequence[Check], case: Case) -> Iterator[Result]:
    """Run checks one after another, and give each one's result as it is known."""
    barred: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name in barred]
        if missing:
            result = Result(check.name, skipped=f"it needs: {', '.join(missing)}")
        else:
            result = _run(check, case)
        if result.failed or result.skipped:
            barred.add(check.name)
        yield result


def _run(check: Check, case: Case) -> Result:
    """One check's result; whatever it runs into is a finding too, and no end to the others."""
    try:
        return Result(check.name, tuple(check.find(case)))
    except Skip as reason:
        return Result(check.name, skipped=str(reason))
    except Exception as error:
        # By its kind alone: what it says may hold a password.
        return Result(check.name, (problem(f"could not be looked at: {type(error).__name__}"),))


def _bounded(find: Callable[[Case], Iterator[Finding]]) -> Callable[[Case], Iterator[Finding]]:
    """A check that ends in time: the libraries' own timeouts are for each read, or for none."""
    import gevent

    def bounded(case: Case) -> Iterator[Finding]:
        try:
            with gevent.Timeout(TIMEOUT_S):
                found = list(find(case))
        except gevent.Timeout:
            found = [problem(f"it took longer than {TIMEOUT_S:g} s", "see what is slow there")]
        yield from found

    return bounded
