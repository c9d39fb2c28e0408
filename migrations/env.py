"""Alembic's environment: brings the app's own database up to date, one process at a time."""

from alembic import context
from sqlalchemy import text

from chat.extensions import db

# Any number will do, as long as no other advisory lock of this database has it.
MIGRATION_LOCK = 5_013_741
# Processes that start at once wait here; the later ones find nothing left to do.
ONE_AT_A_TIME = {
    "postgresql": [
        # The app's own limits are for its requests; a migration takes what it takes.
        "SET LOCAL lock_timeout = 0",
        "SET LOCAL statement_timeout = 0",
        f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
    ],
    # Any write would do: it is the first of its transaction, and so takes SQLite's one write lock.
    "sqlite": ["PRAGMA user_version = 0"],
}


def migrate():
    with db.engine.connect() as connection:
        dialect = connection.dialect.name
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            # SQLite can't alter a table in place; Alembic then copies it.
            render_as_batch=dialect == "sqlite",
            # Else Alembic leaves SQLite's to its driver, and each statement stands alone.
            transactional_ddl=True,
        )
        with context.begin_transaction():
            for statement in ONE_AT_A_TIME[dialect]:
                connection.execute(text(statement))
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Migrations run against a live database only.")
migrate()
