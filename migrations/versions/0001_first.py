"""People, their sessions, rooms, memberships and messages; and the Lobby, where everyone meets.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "user",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320)),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("issuer", "subject", name="uq_user_issuer_subject"),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("provider_sid", sa.String(255)),
        sa.Column("id_token", sa.Text),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("end_reason", sa.String(20)),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_session_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
        sa.UniqueConstraint("key_hash", name="uq_session_key_hash"),
    )
    for column in ("user_id", "provider_sid", "seen_at", "expires_at", "ended_at"):
        op.create_index(f"ix_session_{column}", "session", [column])
    room = op.create_table(
        "room",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("slug", sa.String(80), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("topic", sa.String(250), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("archived", sa.Boolean, nullable=False),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.CheckConstraint("kind IN ('open', 'private', 'direct')", name="ck_room_kind"),
        sa.PrimaryKeyConstraint("id", name="pk_room"),
        sa.UniqueConstraint("slug", name="uq_room_slug"),
    )
    op.create_table(
        "membership",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("last_read_seq", sa.Integer, nullable=False),
        sa.CheckConstraint("role IN ('owner', 'member')", name="ck_membership_role"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_membership_user_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["room.id"], name="fk_membership_room_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_membership"),
        sa.UniqueConstraint("user_id", "room_id", name="uq_membership_user_id_room_id"),
    )
    op.create_index("ix_membership_room_id", "membership", ["room_id"])
    op.create_table(
        "message",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("changed_seq", sa.Integer, nullable=False),
        sa.Column("author_id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("edited_at", TIME),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["user.id"], name="fk_message_author_id"),
        sa.ForeignKeyConstraint(
            ["room_id"], ["room.id"], name="fk_message_room_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint("author_id", "client_id", name="uq_message_author_id_client_id"),
        sa.UniqueConstraint("room_id", "seq", name="uq_message_room_id_seq"),
    )
    op.create_index(
        "ix_message_room_id_changed_seq", "message", ["room_id", "changed_seq"], unique=True
    )
    op.bulk_insert(
        room,
        [
            {
                "slug": "lobby",
                "name": "Lobby",
                "topic": "Where everyone meets",
                "kind": "open",
                "archived": False,
                "last_seq": 0,
            }
        ],
    )


def downgrade():
    for table in ("message", "membership", "room", "session", "user"):
        op.drop_table(table)
