"""How this process writes to its database without ever stalling the event loop.

Reads run where they are called, through `db.session`. Writes run through `write`:

- SQLite blocks its thread while it commits, so all writes go to one native thread with a connection
  of its own (WAL lets the readers go on meanwhile). One thread, since SQLite has one writer anyway,
  and threads that compete for its lock were measured to be a hundred times slower.
- PostgreSQL's driver yields to the loop by itself, so the write runs in the greenlet that asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask_migrate import upgrade
from flask_sqlalchemy import SQLAlchemy
from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.pool import StaticPool

from .config import ROOT, Settings

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MIGRATIONS = ROOT / "migrations"
LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 15_000
POOL_SIZE, POOL_OVERFLOW, POOL_TIMEOUT_S = 5, 5, 5


def engine_options(settings: Settings) -> dict[str, Any]:
    """What Flask-SQLAlchemy gives to `create_engine` for the readers' engine."""
    if settings.store_is_sqlite:
        # Connections are cheap, and none is kept over a yield of the loop: nobody need wait.
        return {"max_overflow": -1}
    timeouts = f"-c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout={STATEMENT_TIMEOUT_MS}"
    return {
        "pool_size": POOL_SIZE,
        "max_overflow": POOL_OVERFLOW,
        "pool_timeout": POOL_TIMEOUT_S,
        "pool_pre_ping": True,
        "connect_args": {"options": timeouts, "connect_timeout": 5},
    }


def init_app(app: Flask, db: SQLAlchemy, settings: Settings) -> None:
    """Give the app its `Writer`; for SQLite also set up what each connection needs."""
    with app.app_context():
        engine = db.engine
    if settings.store_is_sqlite:
        _prepare_sqlite(engine, begin="BEGIN")
        writing = create_engine(engine.url, poolclass=StaticPool)
        _prepare_sqlite(writing, begin="BEGIN IMMEDIATE")
        app.extensions["chat.writer"] = ThreadWriter(db, writing)
    else:
        app.extensions["chat.writer"] = Writer(db)


def bring_up_to_date(app: Flask) -> None:
    """Run the migrations that the store lacks; of several processes, one at a time.

    A store that is ahead is left as it is: a release can be taken back, since the migrations of the
    next leave it what it needs (see docs/operations.md).
    """
    db: SQLAlchemy = app.extensions["sqlalchemy"]
    with app.app_context():
        with db.engine.connect() as connection:
            ahead = unknown_revisions(connection)
        if ahead:
            log.warning("the store's schema is ahead of this code, by %s", ", ".join(ahead))
        else:
            upgrade()


def unknown_revisions(connection: Connection) -> list[str]:
    """What a newer version of this code did to the store's schema, by its migrations' names."""
    current = MigrationContext.configure(connection).get_current_heads()
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    return sorted(set(current) - known)


def release() -> None:
    """End this greenlet's read: its connection goes back to the pool, its snapshot is let go.

    What was read stays usable. Called before any wait, which others could wait for in turn.
    """
    db: SQLAlchemy = current_app.extensions["sqlalchemy"]
    db.session.close()


def write(work: Callable[Concatenate[OrmSession, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work(session, …)` as one transaction, commit it, and return what it returned.

    Whatever `work` raises rolls it back and is raised here. It must neither emit nor wait for
    anything but the database, as it may run in another thread, without an app context.
    """
    writer: Writer = current_app.extensions["chat.writer"]
    return writer.run(lambda session: work(session, *args, **kwargs))


class Writer:
    """Writes in the calling greenlet, for a driver that yields."""

    def __init__(self, db: SQLAlchemy):
        self.db = db

    def run(self, work: Callable[[OrmSession], T]) -> T:
        release()
        with OrmSession(self.db.engine, expire_on_commit=False) as session, session.begin():
            return work(session)


class ThreadWriter(Writer):
    """Writes in one native thread of its own, for a driver that blocks."""

    def __init__(self, db: SQLAlchemy, engine: Engine):
        super().__init__(db)
        self.engine = engine
        self.thread = ThreadPool(1)

    def run(self, work: Callable[[OrmSession], T]) -> T:
        release()
        outcome: T | _Failed = self.thread.apply(self._transact, (work,))
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

    def _transact(self, work: Callable[[OrmSession], T]) -> T | _Failed:
        try:
            with OrmSession(self.engine, expire_on_commit=False) as session, session.begin():
                return work(session)
        except Exception as error:
            return _Failed(error)


class _Failed(NamedTuple):
    """An error as a value: gevent's pool prints whatever is raised in its threads."""

    error: Exception


def _prepare_sqlite(engine: Engine, *, begin: str) -> None:
    """Pragmas, and transactions begun by us: Python's driver begins none before a SELECT."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            # An acked message outlives a power cut: each commit reaches the disk.
            "synchronous = FULL",
            "foreign_keys = ON",
            f"busy_timeout = {LOCK_TIMEOUT_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
