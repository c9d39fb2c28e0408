"""What crosses the wire: parses what comes in, shapes what goes out; see `docs/protocol.md`.

Whatever comes in is checked here once, whole, before any rule sees it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import Invalid, TooLarge
from .models import Membership, Message, Room, User

MAX_ID = 2**31 - 1
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# NUL is not text to PostgreSQL; a lone surrogate can't be written as UTF-8, so not to any store.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class SendMessage:
    room: int
    body: str
    client_id: str


@dataclass(frozen=True)
class MarkRead:
    room: int
    seq: int


def send_message(payload: object, max_chars: int) -> SendMessage:
    """The payload of `send_message`. Raises `Invalid`; `TooLarge` for over `max_chars`."""
    fields = _fields(payload)
    client_id = fields.get("client_id")
    if not isinstance(client_id, str) or not UUID.fullmatch(client_id):
        raise Invalid("client_id must be a UUID.")
    body = _body(fields.get("body"), max_chars)
    return SendMessage(_id(fields, "room"), body, client_id.lower())


def room_only(payload: object) -> int:
    """The payload of an event that names only a room."""
    return _id(_fields(payload), "room")


def mark_read(payload: object) -> MarkRead:
    fields = _fields(payload)
    return MarkRead(_id(fields, "room"), _id(fields, "seq", least=0))


def query_number(
    args: Mapping[str, str], name: str, default: int, *, least: int = 0, most: int = MAX_ID
) -> int:
    """A number in a URL's query, from `least` to `most`; `default` if it is not there."""
    text = args.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise Invalid(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def person(user: User) -> dict[str, Any]:
    return {"id": user.id, "name": user.name}


def me(user: User, max_body_chars: int) -> dict[str, Any]:
    return {**person(user), "email": user.email, "limits": {"body": max_body_chars}}


def room(membership: Membership, unread: int) -> dict[str, Any]:
    """A room as its member sees it."""
    it: Room = membership.room
    return {
        "id": it.id,
        "slug": it.slug,
        "name": it.name,
        "topic": it.topic,
        "kind": it.kind,
        "archived": it.archived,
        "role": membership.role,
        "last_seq": it.last_seq,
        "last_read_seq": membership.last_read_seq,
        "unread": unread,
        "mentions": 0,
    }


def message(it: Message, viewer_id: int | None) -> dict[str, Any]:
    """A message as a viewer sees it; None stands for all who are not its author."""
    shape = {
        "id": it.id,
        "room": it.room_id,
        "seq": it.seq,
        "changed_seq": it.changed_seq,
        "author": person(it.author),
        "body": it.body,
        "created_at": _time(it.created_at),
        "edited_at": _time(it.edited_at) if it.edited_at else None,
        "deleted": it.deleted,
        "reactions": [],
    }
    if viewer_id == it.author_id:
        shape["client_id"] = it.client_id
    return shape


def _fields(payload: object) -> dict[str, Any]:
    if not isinstance(payload, dict):
        raise Invalid("The payload must be an object.")
    return payload


def _id(fields: dict[str, Any], name: str, least: int = 1) -> int:
    value = fields.get(name)
    # In Python True is an int.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_ID:
        raise Invalid(f"{name} must be a whole number from {least} to {MAX_ID}.")
    return value


def _body(body: object, max_chars: int) -> str:
    if not isinstance(body, str):
        raise Invalid("body must be text.")
    if UNSTORABLE.search(body):
        raise Invalid("body holds a character that is not text.")
    body = body.strip()
    if not body:
        raise Invalid("body is empty.")
    if len(body) > max_chars:
        raise TooLarge(
            f"A message has at most {max_chars:,} characters; this one has {len(body):,}."
        )
    return body


def _time(moment: datetime) -> str:
    """RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
