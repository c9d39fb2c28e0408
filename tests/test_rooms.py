"""Rooms: which are someone's, what is unread in them, and how far they have read."""

from __future__ import annotations

from typing import Any

import pytest

from chat import access, fanout, rooms
from chat.errors import Invalid
from chat.extensions import db
from chat.models import Membership, User
from tests.inside import Inside, change


@pytest.fixture
def alice(inside: Inside) -> User:
    return inside.newcomer("Alice")


@pytest.fixture
def bob(inside: Inside) -> User:
    return inside.newcomer("Bob")


@pytest.fixture
def room(inside: Inside, alice: User, bob: User) -> int:
    return inside.room(alice, bob)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What a member's own sockets would be told: whose, and up to where."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(fanout, "read", lambda seat, seq: told.append((seat.user_id, seq)))
    return told


def seat(user: User, room: int) -> Membership:
    """The membership as the next request finds it."""
    db.session.close()
    return access.enter(user, room)


def unread(user: User, room: int) -> int:
    """By both ways to ask, which must agree."""
    one = rooms.unread(seat(user, room))
    assert one == {m.room_id: count for m, count in rooms.of(user)}[room]
    return one


def test_one_is_shown_the_rooms_that_one_is_in(
    inside: Inside, alice: User, bob: User, room: int
) -> None:
    his = inside.room(bob)
    assert [m.room_id for m, _ in rooms.of(alice)][1:] == [room]
    assert [m.room_id for m, _ in rooms.of(bob)][1:] == [room, his]


def test_unread_counts_what_others_said(inside: Inside, alice: User, bob: User, room: int) -> None:
    for _ in range(3):
        inside.post(alice, room)
    assert (unread(alice, room), unread(bob, room)) == (0, 3)


def test_unread_leaves_out_what_was_removed(
    inside: Inside, alice: User, bob: User, room: int
) -> None:
    message = inside.post(alice, room)
    inside.post(alice, room)
    change(message, body="", deleted=True)
    assert unread(bob, room) == 1


def test_unread_leaves_out_other_rooms(inside: Inside, alice: User, bob: User, room: int) -> None:
    inside.post(alice, inside.room(alice, bob))
    assert unread(bob, room) == 0


def test_an_edit_makes_nothing_unread(inside: Inside, alice: User, bob: User, room: int) -> None:
    message = inside.post(alice, room)
    rooms.mark_read(seat(bob, room), 1)
    change(message, body="Edited")
    assert unread(bob, room) == 0


def test_what_is_marked_read_is_no_longer_unread(
    inside: Inside, alice: User, bob: User, room: int, reads: Any
) -> None:
    for _ in range(3):
        inside.post(alice, room)
    rooms.mark_read(seat(bob, room), 2)
    assert (unread(bob, room), unread(alice, room)) == (1, 0)
    assert seat(bob, room).last_read_seq == 2
    assert reads == [(bob.id, 2)]


@pytest.mark.parametrize("back", [0, 1, 2])
def test_what_was_read_is_never_unread_again(
    inside: Inside, alice: User, bob: User, room: int, reads: Any, back: int
) -> None:
    for _ in range(2):
        inside.post(alice, room)
    rooms.mark_read(seat(bob, room), 2)
    rooms.mark_read(seat(bob, room), back)
    assert seat(bob, room).last_read_seq == 2
    assert reads == [(bob.id, 2)], "told although nothing moved"


def test_tabs_that_report_at_once_move_it_forward_only(
    inside: Inside, alice: User, bob: User, room: int
) -> None:
    for _ in range(8):
        inside.post(alice, room)
    # Every tab has seen the state from before any of them reported.
    seats = [seat(bob, room) for _ in range(8)]
    calls = [
        lambda s=s, n=n: rooms.mark_read(s, n)
        for s, n in zip(seats, (3, 8, 1, 7, 2, 6, 4, 5), strict=True)
    ]
    assert inside.at_once(calls) == [None] * 8
    assert seat(bob, room).last_read_seq == 8


def test_one_cannot_have_read_what_was_not_said(
    inside: Inside, alice: User, bob: User, room: int, reads: Any
) -> None:
    inside.post(alice, room)
    with pytest.raises(Invalid):
        rooms.mark_read(seat(bob, room), 2)
    assert seat(bob, room).last_read_seq == 0
    assert reads == []
