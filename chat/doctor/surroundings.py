"""What can be told from the settings and this machine, without asking anyone."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ..config import OWN_NAMES, Settings
from .finding import Case, Finding, Skip, problem, warning

# What Docker, Podman and ECS leave for who wants to know where it runs.
MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
ON_ECS = "ECS_CONTAINER_METADATA_URI_V4"
SPARE_DESCRIPTORS = 1_000  # the room beyond sockets that gunicorn.conf.py keeps for requests


def proxies(case: Case) -> Iterator[Finding]:
    """Whether whoever stands in front is believed, and nobody else."""
    settings = case.settings
    if settings.url_from_host and settings.trusted_proxies:
        yield problem(
            f"TRUSTED_PROXIES={settings.trusted_proxies} with URL_FROM_HOST=1: nobody is in front, "
            "so anyone can forge the address in X-Forwarded-For",
            "leave out TRUSTED_PROXIES; behind a proxy set PUBLIC_URL instead of URL_FROM_HOST",
        )
    if not settings.trusted_proxies and _someone_in_front(settings):
        yield warning(
            f"TRUSTED_PROXIES=0, but someone in front must be speaking TLS for "
            f"{settings.public_url}: everyone would share that one's address, and RATE_SIGN_IN",
            "set TRUSTED_PROXIES to how many proxies add X-Forwarded-For; 1 behind a load balancer",
        )


def processes(case: Case) -> Iterator[Finding]:
    settings = case.settings
    if settings.web_concurrency > 1 and settings.store_is_sqlite:
        yield warning(
            f"WEB_CONCURRENCY={settings.web_concurrency} over SQLite, which is for one process: "
            "they would wait for each other's writes",
            "set DATABASE_URL=postgresql+psycopg://…, or WEB_CONCURRENCY=1",
        )


def disk(case: Case) -> Iterator[Finding]:
    """SQLite where it does not last. On ECS a service loses what was said; the demo may."""
    settings = case.settings
    if not settings.store_is_sqlite:
        raise Skip("the store is not SQLite")
    if settings.development:
        raise Skip("in development nothing has to last")
    use_postgres = "set DATABASE_URL=postgresql+psycopg://… for a store that lasts"
    if os.environ.get(ON_ECS):
        tell = warning if settings.url_from_host else problem
        yield tell("SQLite on the task's own disk: all messages go with the task", use_postgres)
    elif any(mark.exists() for mark in MARKS):
        folder = Path(urlsplit(settings.database_url).path[1:]).parent
        use_volume = f"mount a volume of your own at {folder}, or {use_postgres}"
        if settings.url_from_host or os.path.ismount(folder):
            # Whether that volume outlives the container can't be seen from within.
            yield warning("SQLite in a container: its messages go with its volume", use_volume)
        else:
            yield problem("SQLite on a container's own disk: all messages go with it", use_volume)


def descriptors(case: Case) -> Iterator[Finding]:
    """Each socket is a file descriptor: without one, nobody new gets in."""
    settings = case.settings
    if settings.development:
        raise Skip("in development there are few sockets")
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_sockets + settings.max_strangers + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        yield warning(
            f"the limit of open files is {soft}, too low for MAX_SOCKETS={settings.max_sockets}",
            f"raise it to {wanted}: `ulimit -n` in a shell, --ulimit nofile= or a task "
            "definition's ulimits for a container; or lower MAX_SOCKETS",
        )


def _someone_in_front(settings: Settings) -> bool:
    """Whether browsers' TLS must end elsewhere, if it is to be trusted."""
    host = urlsplit(settings.public_url or "").hostname
    if not host or not settings.secure:
        return False
    # A self-signed certificate is trusted by no browser: it serves a proxy, or someone alone.
    named = host not in OWN_NAMES and not _is_address(host)
    return not settings.serves_tls or (settings.tls is not None and named)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
