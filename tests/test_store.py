"""The store: what is written is whole, or not there at all, on SQLite as on PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from chat.extensions import db
from chat.models import Membership, Room, Session, User
from chat.store import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, write
from tests import backstage, servers
from tests import inside as house_of
from tests.cast import Arrive
from tests.inside import Inside
from tests.servers import MockProvider, Serve

SLEEPING = {"35", "230", "115"}  # nanosleep and clock_nanosleep, of x86-64 and of ARM64
TABLES = {"user", "session", "room", "membership", "message"}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inside]:
    """The application over a store of the test's own, without tables."""
    with house_of.store_of(request.param, tmp_path) as url:
        inside = Inside(url)
        with inside.context():
            yield inside
        inside.close()


def is_sqlite(inside: Inside) -> bool:
    return inside.settings.store_is_sqlite


def one_value(statement: str) -> Any:
    return db.session.execute(text(statement)).scalar_one()


# Migrations


def test_migrations_make_what_the_models_say(empty: Inside) -> None:
    upgrade()
    check()  # exits where they differ


def test_a_model_without_its_migration_is_noticed(empty: Inside) -> None:
    upgrade()
    write(lambda store: store.execute(text("ALTER TABLE room DROP COLUMN topic")))
    with pytest.raises(SystemExit):
        check()


def test_migrations_can_be_undone_and_done_again(empty: Inside) -> None:
    upgrade()
    downgrade(revision="base")
    assert not TABLES & set(inspect(db.engine).get_table_names())
    upgrade()
    assert set(inspect(db.engine).get_table_names()) >= TABLES


def test_the_first_migration_makes_the_lobby(empty: Inside) -> None:
    upgrade()
    lobby = db.session.scalars(select(Room)).one()
    assert (lobby.slug, lobby.name, lobby.kind, lobby.last_seq) == ("lobby", "Lobby", "open", 0)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new.db'}"
    return cast("str", request.getfixturevalue("postgres_url"))


def test_processes_that_start_at_once_migrate_once(new_store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    environ = {**house_of.ENVIRON, "DATABASE_URL": new_store, "HOME": str(tmp_path)}
    started = [
        subprocess.Popen(command, cwd=servers.ROOT, env=environ, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors


def test_the_password_may_come_apart_from_the_url(
    serve: Serve, mock_provider: MockProvider, postgres_url: str
) -> None:
    """As the stack gives it: a secret of its own, which need not be written as part of a URL."""
    url = make_url(postgres_url)
    without = url.set(password=None).render_as_string()
    app = serve(mock_provider, DATABASE_URL=without, PGPASSWORD=url.password or "")
    assert httpx.get(f"{app.address}/readyz", timeout=5).json()["store"] is True
    app.stop()


def test_a_release_can_be_taken_back(
    serve: Serve, mock_provider: MockProvider, new_store: str, arrive: Arrive
) -> None:
    """The version before does not know the newer's migrations, and serves what they left it."""
    app = serve(mock_provider, DATABASE_URL=new_store)
    app.stop()
    with backstage.store(app) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of_the_next_release'"))
    app.start()
    assert "the store's schema is ahead of this code, by of_the_next_release" in app.log
    assert arrive(app, "alice").signs_in().me["name"] == "Alice"
    app.stop()


def test_on_sqlite_one_that_migrates_waits_for_another(tmp_path: Path) -> None:
    """From its first statement on: it would have read what the other is about to change."""
    path = tmp_path / "new.db"
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    environ = {**house_of.ENVIRON, "DATABASE_URL": f"sqlite:///{path}", "HOME": str(tmp_path)}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE of_another (id INTEGER)")
        with subprocess.Popen(
            command, cwd=servers.ROOT, env=environ, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                servers.wait_for(lambda: _sleeps_over(process.pid, path), 15, "it to wait")
                other.execute("COMMIT")
                _, errors = process.communicate(timeout=30)
            finally:
                process.kill()
        assert process.returncode == 0, errors
        tables = {name for (name,) in other.execute("SELECT name FROM sqlite_master")}
    assert tables >= {*TABLES, "of_another"}


def _sleeps_over(pid: int, path: Path) -> bool:
    """Whether a process has a file open, and waits: SQLite asks for its lock again and again."""
    with contextlib.suppress(FileNotFoundError):
        opened = any(os.readlink(fd) == str(path) for fd in Path(f"/proc/{pid}/fd").iterdir())
        # Which system call it is in, by its number, unless it runs.
        return opened and Path(f"/proc/{pid}/syscall").read_text().split()[0] in SLEEPING
    return False


# Writing


def test_a_write_returns_what_its_work_returned_and_is_there(inside: Inside) -> None:
    user = inside.newcomer()

    def rename(store: Any, name: str) -> str:
        store.get(User, user.id).name = name
        return name.upper()

    assert write(rename, name="Alicia") == "ALICIA"
    assert one_value(f'SELECT name FROM "user" WHERE id = {user.id}') == "Alicia"


def test_a_write_that_fails_leaves_nothing_and_raises_what_failed(inside: Inside) -> None:
    user = inside.newcomer()
    problem = ZeroDivisionError("of the work itself")

    def rename_and_fail(store: Any) -> None:
        store.get(User, user.id).name = "Nobody"
        store.flush()
        raise problem

    with pytest.raises(ZeroDivisionError) as raised:
        write(rename_and_fail)
    assert raised.value is problem
    assert one_value(f'SELECT name FROM "user" WHERE id = {user.id}') == "Alice"


def test_a_write_goes_on_after_one_that_failed(inside: Inside) -> None:
    with pytest.raises(IntegrityError):
        write(lambda store: store.add(Membership(user_id=-1, room_id=-1)) or store.flush())
    assert inside.newcomer("Bob").name == "Bob"


def test_whoever_writes_sees_it_at_the_next_read(inside: Inside) -> None:
    """A reader's snapshot from before the write must not be held on to."""
    before = one_value('SELECT count(*) FROM "user"')
    inside.newcomer()
    assert one_value('SELECT count(*) FROM "user"') == before + 1


def test_what_was_read_outlives_a_write(inside: Inside) -> None:
    user = inside.newcomer()
    inside.newcomer("Bob")
    assert user.name == "Alice"


def test_only_sqlite_writes_in_a_thread_of_its_own(inside: Inside) -> None:
    here = threading.get_ident()
    threads = {write(lambda _store: threading.get_native_id()) for _ in range(3)}
    assert len(threads) == 1
    assert (threads == {threading.get_native_id()}) is not is_sqlite(inside)
    assert threading.get_ident() == here


def test_the_store_refuses_members_of_nowhere(inside: Inside) -> None:
    """SQLite checks foreign keys only when told to, on each connection."""
    user = inside.newcomer()
    with pytest.raises(IntegrityError):
        write(lambda store: store.add(Membership(user_id=user.id, room_id=2**31 - 1)))


# What the settings of a connection are for: an acked message outlives a power cut, a foreign key is
# checked, and nobody waits for a lock for ever.
SQLITE = {
    "PRAGMA journal_mode": "wal",
    "PRAGMA synchronous": 2,
    "PRAGMA foreign_keys": 1,
    "PRAGMA busy_timeout": LOCK_TIMEOUT_MS,
}
POSTGRESQL = {
    "SHOW synchronous_commit": "on",
    "SHOW lock_timeout": f"{LOCK_TIMEOUT_MS // 1000}s",
    "SHOW statement_timeout": f"{STATEMENT_TIMEOUT_MS // 1000}s",
}


def test_readers_and_writers_have_the_connection_they_need(inside: Inside) -> None:
    for statement, value in (SQLITE if is_sqlite(inside) else POSTGRESQL).items():
        assert one_value(statement) == value
        assert write(lambda store, s=statement: store.execute(text(s)).scalar_one()) == value


# Times


def test_times_come_back_aware_and_in_utc(inside: Inside) -> None:
    user = inside.newcomer()
    noon_in_tokyo = datetime(2030, 1, 2, 12, 0, 0, 123456, timezone(timedelta(hours=9)))
    key = f"hash-{user.id}"
    house_of.add_session(user, key, expires_at=noon_in_tokyo)
    row = db.session.scalars(select(Session).where(Session.key_hash == key)).one()
    assert row.expires_at == noon_in_tokyo
    for moment in (row.expires_at, row.created_at, row.seen_at):
        assert moment.tzinfo is UTC
    assert abs(datetime.now(UTC) - row.created_at) < timedelta(minutes=1)


def test_times_are_compared_as_times(inside: Inside) -> None:
    """SQLite compares them as text: all must be written in one zone."""
    user = inside.newcomer()
    east, west = timezone(timedelta(hours=9)), timezone(timedelta(hours=-9))
    house_of.add_session(user, f"early-{user.id}", expires_at=datetime(2030, 1, 1, 20, tzinfo=east))
    house_of.add_session(user, f"late-{user.id}", expires_at=datetime(2030, 1, 1, 5, tzinfo=west))
    found = db.session.scalars(
        select(Session.key_hash).where(
            Session.user_id == user.id, Session.expires_at > datetime(2030, 1, 1, 12, tzinfo=UTC)
        )
    ).all()
    assert found == [f"late-{user.id}"]
