"""The database: whether it can be used, and whether this code and its schema fit together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ..config import ROOT, Settings
from ..store import MIGRATIONS
from .finding import Case, Finding, Skip, problem

CONNECT_S = 4
OTHERWISE = "see whether it runs, and lets this machine in (security group, pg_hba.conf)"
# By what PostgreSQL says.
MENDS = {
    "authentication failed": "check the user and the password in DATABASE_URL or PGPASSWORD",
    "no password supplied": "put the password into DATABASE_URL or PGPASSWORD",
    "does not exist": "make the database or the role, or mend its name in DATABASE_URL",
    "could not translate": "check how the host is spelled in DATABASE_URL",
    "resolve": "check how the host is spelled in DATABASE_URL",
}


def reach(case: Case) -> Iterator[Finding]:
    if case.settings.store_is_sqlite:
        yield from _sqlite(_file(make_url(case.settings.database_url)))
        return
    try:
        with _connected(case.settings) as connection:
            connection.execute(text("SELECT 1"))
    except DBAPIError as error:
        why = _first_line(error)
        mend = next((mend for told, mend in MENDS.items() if told in why), OTHERWISE)
        yield problem(f"the store is unreachable: {why}", mend)


def schema(case: Case) -> Iterator[Finding]:
    """One that is behind the next start brings up to date; one that is ahead it can't."""
    if case.settings.store_is_sqlite and not _file(make_url(case.settings.database_url)).exists():
        raise Skip("the store is made at the first start")
    with _connected(case.settings) as connection:
        current = set(MigrationContext.configure(connection).get_current_heads())
        if not current:
            yield from _strange(connection)
            return
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}
    if unknown := current - known:
        yield problem(
            f"the store's schema is ahead of this code, by {', '.join(sorted(unknown))}",
            "run the newer version again; this one serves what the newer left it",
        )
        return
    done = {step.revision for step in scripts.iterate_revisions(tuple(current), "base")}
    if pending := known - done:
        yield problem(
            f"the store's schema is behind this code, by {len(pending)} migration(s)",
            "start the app, which brings it up to date, or run `flask db upgrade`",
        )


def _strange(connection: Connection) -> Iterator[Finding]:
    """An empty database is as good as a new one; one with tables is somebody else's."""
    tables = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
    if tables:
        shown = ", ".join(tables[:3]) + (", …" if len(tables) > 3 else "")
        yield problem(
            f"the store holds tables, but not this app's schema: {shown}",
            "give the chat a database of its own, in DATABASE_URL",
        )


def _sqlite(file: Path) -> Iterator[Finding]:
    if not file.exists():
        folder = file.parent if file.parent.exists() else file.parent.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            yield problem(
                f"the store can't be made: {folder} can't be written to",
                "make it this user's, or set DATABASE_URL",
            )
        return
    if not os.access(file, os.R_OK | os.W_OK) or not os.access(file.parent, os.W_OK):
        yield problem(
            f"the store can't be written to: {file}", "make it and its folder this user's"
        )
        return
    try:
        with _sqlite_at(file) as connection:
            connection.execute(text("SELECT count(*) FROM sqlite_master"))
    except DBAPIError as error:
        yield problem(
            f"the store is unreachable: {file}: {_first_line(error)}",
            "restore the file from a backup, or set DATABASE_URL",
        )


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    url = make_url(settings.database_url)
    if settings.store_is_sqlite:
        with _sqlite_at(_file(url)) as connection:
            yield connection
        return
    options = {"connect_timeout": CONNECT_S, "options": f"-c statement_timeout={CONNECT_S * 1000}"}
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    with engine.connect() as connection:
        yield connection


@contextmanager
def _sqlite_at(file: Path) -> Iterator[Connection]:
    """Without making the file, should it be gone by now."""
    url = URL.create("sqlite", database=file.as_uri(), query={"mode": "rw", "uri": "true"})
    with create_engine(url, poolclass=NullPool).connect() as connection:
        yield connection


def _file(url: URL) -> Path:
    # Flask-SQLAlchemy takes a relative path from the instance folder.
    return ROOT / "instance" / (url.database or "")


def _first_line(error: DBAPIError) -> str:
    """What the driver says; a password is not part of it."""
    return str(error.orig).partition("\n")[0]
