"""What comes in is checked whole, before any rule sees it; what goes out has its shape."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import wire
from chat.errors import Invalid, TooLarge
from chat.models import Message, User
from chat.wire import MAX_ID

CLIENT_ID = "6f2d5a3e-1111-4222-8333-444455556666"
MAX_CHARS = 4_000


def asked(**changed: Any) -> dict[str, Any]:
    """A sound payload of send_message, with changes; `...` takes a field away."""
    payload = {"room": 1, "body": "Hello", "client_id": CLIENT_ID, **changed}
    return {name: value for name, value in payload.items() if value is not ...}


def send(**changed: Any) -> wire.SendMessage:
    return wire.send_message(asked(**changed), MAX_CHARS)


# send_message


def test_a_message_is_taken() -> None:
    assert send() == wire.SendMessage(1, "Hello", CLIENT_ID)


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ("  Hello \n", "Hello"),
        ("a\n\n b", "a\n\n b"),
        ("\u00a0Hello\u3000", "Hello"),
        ("x" * MAX_CHARS, "x" * MAX_CHARS),
        (" " * 50_000 + "x" * MAX_CHARS + "\n", "x" * MAX_CHARS),
        ("🙂" * MAX_CHARS, "🙂" * MAX_CHARS),
        ("\ufdd0\uffff\x01\x7f", "\ufdd0\uffff\x01\x7f"),
        (json.loads(r'"\ud83d\ude42"'), "🙂"),
    ],
    ids=range(8),
)
def test_a_body_is_taken_without_the_space_around_it(body: str, taken: str) -> None:
    assert send(body=body).body == taken


@pytest.mark.parametrize("body", ["x" * 4_001, "🙂" * 4_001, " " + "é" * 4_001], ids=range(3))
def test_a_body_over_the_limit_is_too_large(body: str) -> None:
    with pytest.raises(TooLarge) as refused:
        send(body=body)
    assert "4,000" in refused.value.message


def test_the_limit_is_that_of_the_settings() -> None:
    assert wire.send_message(asked(body="12345"), 5).body == "12345"
    with pytest.raises(TooLarge):
        wire.send_message(asked(body="123456"), 5)


@pytest.mark.parametrize(
    "body",
    [
        *["", " ", "\n\t \u00a0", None, 1, 1.5, True, ["Hello"], {"a": 1}, b"Hello", ...],
        *["\x00", "a\x00b", "Hello\x00"],
        *["\ud800", "\udfff", "a\udc00b", "\ude42\ud83d"],
        "\x00" + "x" * 5_000,
    ],
    ids=repr,
)
def test_a_body_that_is_no_text_is_invalid(body: Any) -> None:
    with pytest.raises(Invalid):
        send(body=body)


NO_IDS: list[Any] = [
    *[None, "1", "", [], {}, [1], ...],
    *[True, False, 0, -1, 1.0, 1.5, math.nan, math.inf],
    *[MAX_ID + 1, 2**63, 10**400, -(10**400)],
]


@pytest.mark.parametrize("room", NO_IDS, ids=lambda value: repr(value)[:20])
def test_what_is_no_id_is_invalid(room: Any) -> None:
    with pytest.raises(Invalid):
        send(room=room)
    with pytest.raises(Invalid):
        wire.room_only({} if room is ... else {"room": room})
    with pytest.raises(Invalid):
        wire.mark_read({"seq": 0} | ({} if room is ... else {"room": room}))


def test_the_largest_id_is_one() -> None:
    assert send(room=MAX_ID).room == wire.room_only({"room": MAX_ID}) == MAX_ID


@pytest.mark.parametrize(
    "client_id",
    [
        *[None, ..., "", 1, True, [CLIENT_ID], CLIENT_ID[:-1], CLIENT_ID + "0", CLIENT_ID + "\n"],
        *[CLIENT_ID.replace("-", ""), f"{{{CLIENT_ID}}}", f"urn:uuid:{CLIENT_ID}"],
        *["g" + CLIENT_ID[1:], "\uff16" + CLIENT_ID[1:], "\x00" + CLIENT_ID[1:], " " + CLIENT_ID],
    ],
    ids=repr,
)
def test_a_client_id_that_is_no_uuid_is_invalid(client_id: Any) -> None:
    with pytest.raises(Invalid):
        send(client_id=client_id)


def test_a_client_id_is_the_same_in_capitals() -> None:
    """As a UUID it is (RFC 9562 section 4), and sent again by another library it must be too."""
    assert send(client_id=CLIENT_ID.upper()) == send()


NO_PAYLOADS: list[Any] = [None, "", "x", 0, 1, True, 1.5, [], [asked()], b"x"]


@pytest.mark.parametrize("payload", NO_PAYLOADS, ids=repr)
def test_a_payload_that_is_no_object_is_invalid(payload: Any) -> None:
    for parse in (lambda p: wire.send_message(p, 1), wire.room_only, wire.mark_read):
        with pytest.raises(Invalid):
            parse(payload)


def test_fields_that_nobody_asked_for_are_left_out() -> None:
    """An author's name above all: it comes from the session."""
    assert send(author={"id": 1, "name": "Alice"}, seq=7, deleted=True) == send()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "room": JSON | st.integers(1, 9),
        "seq": JSON | st.integers(0, 9),
        "body": JSON | st.text(st.characters(codec=None), min_size=1),
        "client_id": JSON | st.just(CLIENT_ID) | st.uuids().map(str),
    },
)


@given(FIELDS | JSON)
def test_whatever_comes_in_is_sound_or_refused(payload: Any) -> None:
    try:
        sent = wire.send_message(payload, 10)
    except (Invalid, TooLarge):
        return
    assert type(sent.room) is int
    assert 1 <= sent.room <= MAX_ID
    assert 1 <= len(sent.body) <= 10
    assert sent.body == sent.body.strip()
    assert "\x00" not in sent.body
    assert sent.body.encode().decode() == sent.body  # no lone surrogate
    assert wire.UUID.fullmatch(sent.client_id)


@given(FIELDS | JSON)
def test_whatever_is_marked_read_is_a_number_or_refused(payload: Any) -> None:
    try:
        read = wire.mark_read(payload)
    except Invalid:
        return
    assert (type(read.room), type(read.seq)) == (int, int)
    assert 1 <= read.room <= MAX_ID
    assert 0 <= read.seq <= MAX_ID


# mark_read


@pytest.mark.parametrize("seq", [0, 1, MAX_ID])
def test_a_number_to_have_read_is_taken(seq: int) -> None:
    assert wire.mark_read({"room": 3, "seq": seq}) == wire.MarkRead(3, seq)


@pytest.mark.parametrize("seq", [None, "1", True, False, -1, 1.0, MAX_ID + 1, 10**400], ids=str)
def test_what_is_no_number_was_not_read(seq: Any) -> None:
    with pytest.raises(Invalid):
        wire.mark_read({"room": 3, "seq": seq})


# Queries


@pytest.mark.parametrize(
    ("text", "number"), [(None, 50), ("0", 0), ("7", 7), ("007", 7), (str(MAX_ID), MAX_ID)]
)
def test_a_number_in_a_query(text: str | None, number: int) -> None:
    assert wire.query_number({} if text is None else {"after": text}, "after", 50) == number


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", " 1", "1 ", "1.0", "1e3", "x", "٣", "²", "1_0", "9" * 5_000]
)
def test_what_is_no_number_in_a_query_is_invalid(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        wire.query_number({"after": text}, "after", 50)
    assert "after" in refused.value.message
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(("text", "fits"), [("0", False), ("1", True), ("200", True)])
def test_a_page_is_of_one_message_at_least(text: str, fits: bool) -> None:
    args = {"limit": text}
    if fits:
        assert wire.query_number(args, "limit", 50, least=1, most=200) == int(text)
    else:
        with pytest.raises(Invalid):
            wire.query_number(args, "limit", 50, least=1, most=200)


def test_a_page_is_no_larger_than_the_limit() -> None:
    with pytest.raises(Invalid):
        wire.query_number({"limit": "201"}, "limit", 50, least=1, most=200)


@given(st.text(max_size=12))
def test_any_query_is_a_number_in_bounds_or_refused(text: str) -> None:
    try:
        number = wire.query_number({"before": text}, "before", 0, most=99)
    except Invalid:
        return
    assert 0 <= number <= 99


# Shapes


def message(**changed: Any) -> Message:
    given = {
        "id": 9,
        "room_id": 2,
        "seq": 4,
        "changed_seq": 6,
        "author_id": 5,
        "client_id": CLIENT_ID,
        "body": "Hello",
        "created_at": datetime(2030, 1, 2, 3, 4, 5, 678_900, UTC),
        "edited_at": None,
        "deleted": False,
        "author": User(id=5, name="Alice", email="alice@example.com"),
    }
    return Message(**{**given, **changed})


SHAPE = {
    "id": 9,
    "room": 2,
    "seq": 4,
    "changed_seq": 6,
    "author": {"id": 5, "name": "Alice"},
    "body": "Hello",
    "created_at": "2030-01-02T03:04:05.678Z",
    "edited_at": None,
    "deleted": False,
    "reactions": [],
}


def test_a_message_has_the_shape_of_the_contract() -> None:
    assert wire.message(message(), 5) == {**SHAPE, "client_id": CLIENT_ID}


@pytest.mark.parametrize("viewer", [None, 6])
def test_the_client_id_is_its_authors_alone(viewer: int | None) -> None:
    assert wire.message(message(), viewer) == SHAPE


def test_times_are_told_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    edited = message(edited_at=datetime(2030, 1, 2, 0, 30, tzinfo=tokyo))
    assert wire.message(edited, None)["edited_at"] == "2030-01-01T15:30:00.000Z"
