"""What is stored, and the queries that read it. Times are UTC; ids are integers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    Select,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    select,
    update,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    contains_eager,
    mapped_column,
    registry,
    relationship,
)
from sqlalchemy.orm import Session as OrmSession

OPEN, PRIVATE, DIRECT = "open", "private", "direct"
OWNER, MEMBER = "owner", "member"


def now() -> datetime:
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time in both stores; SQLite by itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


# Named constraints, so that a migration can alter them on either store.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    registry = registry(
        metadata=MetaData(naming_convention=NAMES), type_annotation_map={datetime: UtcDateTime}
    )


class User(Base):
    """A person: known for ever by the provider's issuer and subject, never by the email."""

    __tablename__ = "user"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Session(Base):
    """A browser that someone signed in with. An ended one stays, for all processes to see."""

    __tablename__ = "session"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Of the cookie's key only the hash is kept: who reads the table can't sign in with it.
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    provider_sid: Mapped[str | None] = mapped_column(String(255), index=True)
    id_token: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now, index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    end_reason: Mapped[str | None] = mapped_column(String(20))

    user: Mapped[User] = relationship(lazy="raise")

    @classmethod
    def live(cls, key_hash: str, idle_since: datetime) -> Select[Session]:
        """The session with this key and its user, unless it has ended, is over, or lay idle."""
        return (
            select(cls)
            .join(cls.user)
            .options(contains_eager(cls.user))
            .where(
                cls.key_hash == key_hash,
                cls.ended_at.is_(None),
                cls.expires_at > now(),
                cls.seen_at > idle_since,
            )
        )


class Room(Base):
    __tablename__ = "room"
    __table_args__ = (CheckConstraint("kind IN ('open', 'private', 'direct')", name="kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    topic: Mapped[str] = mapped_column(String(250), default="")
    kind: Mapped[str] = mapped_column(String(10), default=OPEN)
    archived: Mapped[bool] = mapped_column(default=False)
    # The number of the room's latest change: see take_number.
    last_seq: Mapped[int] = mapped_column(default=0)

    @classmethod
    def take_number(cls, session: OrmSession, room_id: int) -> int:
        """The room's next change number, in the caller's transaction.

        The update locks the row until that transaction ends, so numbers follow the order of
        commits, and one that was rolled back is given again.
        """
        return session.execute(
            update(Room)
            .where(Room.id == room_id)
            .values(last_seq=Room.last_seq + 1)
            .returning(Room.last_seq)
        ).scalar_one()


class Membership(Base):
    """That a user belongs to a room: the key which opens it. Only `access` hands it out."""

    __tablename__ = "membership"
    __table_args__ = (
        UniqueConstraint("user_id", "room_id"),
        CheckConstraint("role IN ('owner', 'member')", name="role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    room_id: Mapped[int] = mapped_column(ForeignKey("room.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(String(10), default=MEMBER)
    last_read_seq: Mapped[int] = mapped_column(default=0)

    user: Mapped[User] = relationship(lazy="raise")
    room: Mapped[Room] = relationship(lazy="raise")

    @classmethod
    def of(cls, user_id: int) -> Select[Membership]:
        """The user's memberships, each with its room."""
        return (
            select(cls)
            .join(cls.room)
            .options(contains_eager(cls.room))
            .where(cls.user_id == user_id)
            .order_by(Room.id)
        )

    @classmethod
    def with_unread(cls, user_id: int) -> Select[Membership, int]:
        """The same, each with the count of others' messages that the user has not read."""
        unread = (
            select(func.count())
            .where(
                Message.room_id == cls.room_id,
                Message.seq > cls.last_read_seq,
                Message.author_id != cls.user_id,
                Message.deleted.is_(False),
            )
            .correlate(cls)
            .scalar_subquery()
        )
        return cls.of(user_id).add_columns(unread)


class Message(Base):
    """A message; `seq` is its place for ever, `changed_seq` the number of its latest change."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("author_id", "client_id"),
        UniqueConstraint("room_id", "seq"),
        Index(None, "room_id", "changed_seq", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("room.id", ondelete="CASCADE"))
    seq: Mapped[int]
    changed_seq: Mapped[int]
    author_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    client_id: Mapped[str] = mapped_column(String(36))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    edited_at: Mapped[datetime | None]
    deleted: Mapped[bool] = mapped_column(default=False)

    author: Mapped[User] = relationship(lazy="raise")

    @classmethod
    def sent_as(cls, author_id: int, client_id: str) -> Select[Message]:
        """The message that the author once sent under this `client_id`."""
        return _with_author().where(cls.author_id == author_id, cls.client_id == client_id)

    @classmethod
    def history(cls, room_id: int, before: int | None, limit: int) -> Select[int, Message]:
        """Rows of the room's `last_seq` and a message, newest first: see `_beside_last_seq`."""
        page = select(cls.id).where(cls.room_id == room_id).order_by(cls.seq.desc()).limit(limit)
        if before is not None:
            page = page.where(cls.seq < before)
        return _beside_last_seq(room_id, page).order_by(cls.seq.desc())

    @classmethod
    def changes(cls, room_id: int, after: int, limit: int) -> Select[int, Message]:
        """Rows of the room's `last_seq` and a message changed after `after`, by `changed_seq`."""
        page = (
            select(cls.id)
            .where(cls.room_id == room_id, cls.changed_seq > after)
            .order_by(cls.changed_seq)
            .limit(limit)
        )
        return _beside_last_seq(room_id, page).order_by(cls.changed_seq)


def _with_author() -> Select[Message]:
    return select(Message).join(Message.author).options(contains_eager(Message.author))


def _beside_last_seq(room_id: int, page: Select[int]) -> Select[int, Message]:
    """Messages and the room's `last_seq` in one statement, so in one snapshot on either store.

    An outer join: a page without messages is one row, with None for the message.
    """
    return (
        select(Room.last_seq, Message)
        .outerjoin(Message, Message.id.in_(page))
        .outerjoin(Message.author)
        .options(contains_eager(Message.author))
        .where(Room.id == room_id)
    )


def messages_and_last_seq(rows: Sequence[Any]) -> tuple[list[Message], int]:
    """Take apart the rows of `Message.history` or `Message.changes`."""
    return [row[1] for row in rows if row[1] is not None], rows[0][0]
