"""Alembic's environment: brings the app's own database up to date, one process at a time."""

from alembic import context
from sqlalchemy import text

from chat.extensions import db

# Any number will do, as long as no other advisory lock of this database has it.
MIGRATION_LOCK = 5_013_741


def migrate():
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            # SQLite can't alter a table in place; Alembic then copies it.
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                # Processes that start at once wait here; the later ones find nothing left to do.
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK}
                )
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Migrations run against a live database only.")
migrate()
