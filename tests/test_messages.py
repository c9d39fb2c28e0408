"""Messages: each has one place for everyone, is stored once, and is found again."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session as OrmSession

from chat import access, messages
from chat.errors import ChatError, Invalid
from chat.extensions import db
from chat.models import Membership, Message, Room, User
from chat.store import write
from tests.inside import Inside, change


@pytest.fixture
def alice(inside: Inside) -> User:
    return inside.newcomer("Alice")


@pytest.fixture
def bob(inside: Inside) -> User:
    return inside.newcomer("Bob")


@pytest.fixture
def room(inside: Inside, alice: User, bob: User) -> int:
    """A room of Alice's and Bob's, in which nothing was said yet."""
    return inside.room(alice, bob)


@pytest.fixture
def seat(alice: User, room: int) -> Membership:
    """Alice's membership of it."""
    return access.enter(alice, room)


def last_seq(room: int) -> int:
    db.session.close()
    return db.session.get_one(Room, room).last_seq


def stored(room: int) -> list[Message]:
    db.session.close()
    return list(
        db.session.scalars(select(Message).where(Message.room_id == room).order_by(Message.seq))
    )


def seqs(page: messages.Page) -> list[int]:
    return [message.seq for message in page.messages]


# Numbers


def test_a_message_takes_the_rooms_next_number(seat: Membership) -> None:
    first, second = (messages.post(seat, "Hello", str(uuid.uuid4())) for _ in range(2))
    assert [(m.seq, m.changed_seq) for m in (first, second)] == [(1, 1), (2, 2)]
    assert last_seq(seat.room_id) == 2


def test_rooms_count_for_themselves(inside: Inside, alice: User, room: int) -> None:
    elsewhere = inside.room(alice)
    assert [inside.post(alice, each).seq for each in (room, elsewhere, room)] == [1, 1, 2]


def test_posts_at_once_take_each_number_once(
    inside: Inside, alice: User, bob: User, room: int
) -> None:
    authors = [alice, bob] * 15
    posted = inside.at_once(
        [lambda who=who, n=n: inside.post(who, room, f"{n}") for n, who in enumerate(authors)]
    )
    assert [p for p in posted if isinstance(p, Exception)] == []
    assert sorted(p.seq for p in posted) == list(range(1, 31))
    assert last_seq(room) == 30
    assert [m.seq for m in stored(room)] == list(range(1, 31))


def test_a_number_of_a_post_that_failed_is_given_again(seat: Membership) -> None:
    def insert_and_fail(store: OrmSession) -> None:
        messages._insert(store, seat, "Lost", str(uuid.uuid4()))
        raise ZeroDivisionError

    messages.post(seat, "Before", str(uuid.uuid4()))
    with pytest.raises(ZeroDivisionError):
        write(insert_and_fail)
    messages.post(seat, "After", str(uuid.uuid4()))
    assert [(m.seq, m.body) for m in stored(seat.room_id)] == [(1, "Before"), (2, "After")]


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_number_is_taken_until_its_transaction_ends(inside: Inside, room: int, ends: str) -> None:
    """Else numbers would not follow the order of commits, and a client that has seen the higher one
    would never ask for the lower."""
    # SQLite's writer has one connection; the readers' engine plays another process beside it.
    engine = getattr(inside.app.extensions["chat.writer"], "engine", db.engine)
    taken: list[int] = []
    asked = threading.Event()

    def take_second() -> None:
        with OrmSession(engine) as second:
            asked.set()
            taken.append(Room.take_number(second, room))
            second.commit()

    first = OrmSession(db.engine)
    assert Room.take_number(first, room) == 1
    other = threading.Thread(target=take_second)
    other.start()
    asked.wait(5)
    other.join(0.1)
    assert taken == [], "taken while another transaction could still take it back"
    getattr(first, ends)()
    first.close()
    other.join(10)
    assert taken == [2 if ends == "commit" else 1]


# client_id


def test_sent_again_it_is_the_first_message_once_more(
    inside: Inside, alice: User, room: int
) -> None:
    client_id = str(uuid.uuid4())
    first = inside.post(alice, room, "Hello", client_id)
    inside.post(alice, room, "Something else")
    again = inside.post(alice, room, "Hello, changed on the way", client_id)
    assert (again.id, again.seq, again.body) == (first.id, 1, "Hello")
    assert (again.author.id, again.created_at) == (alice.id, first.created_at)
    assert last_seq(room) == 2


def test_sent_twice_at_once_it_is_stored_once(inside: Inside, alice: User, room: int) -> None:
    client_id = str(uuid.uuid4())
    sent = inside.at_once([lambda: inside.post(alice, room, "Hello", client_id)] * 6)
    assert [p for p in sent if isinstance(p, Exception)] == []
    assert {p.id for p in sent} == {m.id for m in stored(room)}
    assert len(stored(room)) == last_seq(room) == 1


def test_a_client_id_of_another_room_is_invalid(inside: Inside, alice: User, room: int) -> None:
    client_id = str(uuid.uuid4())
    elsewhere = inside.room(alice)
    inside.post(alice, elsewhere, "Hello", client_id)
    with pytest.raises(Invalid):
        inside.post(alice, room, "Hello", client_id)
    assert stored(room) == []
    assert last_seq(room) == 0


def test_a_client_id_in_two_rooms_at_once_is_good_in_one(
    inside: Inside, alice: User, room: int
) -> None:
    client_id = str(uuid.uuid4())
    rooms = [room, inside.room(alice)]
    sent = inside.at_once([lambda r=r: inside.post(alice, r, "Hello", client_id) for r in rooms])
    assert sorted(isinstance(each, ChatError) for each in sent) == [False, True]
    assert len(stored(rooms[0]) + stored(rooms[1])) == 1
    assert sorted(map(last_seq, rooms)) == [0, 1]


def test_another_author_may_have_the_same_client_id(
    inside: Inside, alice: User, bob: User, room: int
) -> None:
    client_id = str(uuid.uuid4())
    hers = inside.post(alice, room, "Hers", client_id)
    his = inside.post(bob, room, "His", client_id)
    assert (hers.seq, his.seq, his.body) == (1, 2, "His")


# What was said is found again


@pytest.mark.parametrize(
    "body", ["Hello", "<b>&amp;</b>", "a\nb\tc", "Zoë 李 🙂", "🙂" * 4_000, "\x01\x7f\u202e\ufffd"]
)
def test_a_body_comes_back_as_it_was(seat: Membership, body: str) -> None:
    messages.post(seat, body, str(uuid.uuid4()))
    db.session.close()
    assert [m.body for m in messages.history(seat, None).messages] == [body]


@pytest.fixture
def talk(inside: Inside, alice: User, bob: User, room: int) -> list[Message]:
    """Five messages, by turns."""
    return [inside.post(who, room, who.name) for who in (alice, bob, alice, bob, alice)]


@pytest.mark.parametrize(
    ("before", "limit", "found", "more"),
    [
        (None, 50, [1, 2, 3, 4, 5], False),
        (None, 5, [1, 2, 3, 4, 5], False),
        (None, 4, [2, 3, 4, 5], True),
        (None, 1, [5], True),
        (3, 50, [1, 2], False),
        (3, 1, [2], True),
        (1, 50, [], False),
        (0, 50, [], False),
        (99, 2, [4, 5], True),
    ],
)
@pytest.mark.usefixtures("talk")
def test_history_is_the_newest_page(
    seat: Membership, before: int | None, limit: int, found: list[int], more: bool
) -> None:
    page = messages.history(seat, before, limit)
    assert (seqs(page), page.more, page.last_seq) == (found, more, 5)


@pytest.mark.usefixtures("talk")
def test_history_names_the_authors(seat: Membership) -> None:
    names = [m.author.name for m in messages.history(seat, None).messages]
    assert names == ["Alice", "Bob", "Alice", "Bob", "Alice"]


def test_an_empty_room_has_an_empty_page(seat: Membership) -> None:
    assert messages.history(seat, None) == ([], 0, False)
    assert messages.changes(seat, 0) == ([], 0, False)


def test_a_page_holds_nothing_of_another_room(inside: Inside, alice: User, room: int) -> None:
    inside.post(alice, inside.room(alice), "Elsewhere")
    seat = access.enter(alice, room)
    assert messages.history(seat, None).messages == []
    assert messages.changes(seat, 0).messages == []


@pytest.mark.parametrize(
    ("after", "limit", "found", "more"),
    [
        (0, 50, [1, 2, 3, 4, 5], False),
        (0, 5, [1, 2, 3, 4, 5], False),
        (0, 2, [1, 2], True),
        (3, 50, [4, 5], False),
        (3, 1, [4], True),
        (5, 50, [], False),
        (99, 50, [], False),
    ],
)
@pytest.mark.usefixtures("talk")
def test_changes_are_those_after_a_number(
    seat: Membership, after: int, limit: int, found: list[int], more: bool
) -> None:
    page = messages.changes(seat, after, limit)
    assert ([m.changed_seq for m in page.messages], page.more) == (found, more)
    assert page.last_seq == 5


def test_a_message_that_changed_twice_appears_once_at_its_latest(
    seat: Membership, talk: list[Message]
) -> None:
    change(talk[0], body="Edited")
    change(talk[0], body="Edited again")
    change(talk[3], body="", deleted=True)
    db.session.close()
    page = messages.changes(seat, 0)
    numbers = [(m.seq, m.changed_seq) for m in page.messages]
    assert numbers == [(2, 2), (3, 3), (5, 5), (1, 7), (4, 8)]
    assert [m.body for m in page.messages[-2:]] == ["Edited again", ""]
    assert page.last_seq == 8
    assert seqs(messages.changes(seat, 6)) == [1, 4]
    assert seqs(messages.history(seat, None)) == [1, 2, 3, 4, 5]


def test_paging_through_changes_skips_none(seat: Membership, talk: list[Message]) -> None:
    change(talk[1], body="Edited")
    found, after, more = [], 0, True
    for _ in range(10):
        page = messages.changes(seat, after, limit=2)
        found += page.messages
        after, more = (found[-1].changed_seq, page.more)
        if not more:
            break
    assert [m.seq for m in found] == [1, 3, 4, 5, 2]


@pytest.fixture
def statements(house: Inside) -> Iterator[list[str]]:
    """What was asked of the store."""
    asked: list[str] = []

    def keep(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    with house.context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", keep)
    yield asked
    event.remove(engine, "before_cursor_execute", keep)


@pytest.mark.usefixtures("talk")
def test_messages_and_last_seq_come_from_one_snapshot(
    seat: Membership, statements: list[str]
) -> None:
    """PostgreSQL gives each statement its own: two would leave a gap that nobody asks for again."""
    for page in (lambda: messages.history(seat, None), lambda: messages.changes(seat, 0)):
        statements.clear()
        page()
        assert len([s for s in statements if s.lstrip().upper().startswith("SELECT")]) == 1
