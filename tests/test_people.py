"""People: who is the same person, what they are called, and where they belong from the start."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func, select

from chat import people, rooms
from chat.extensions import db
from chat.models import Membership, Room, User
from tests.inside import Inside


def named(user_id: int) -> tuple[str, str | None]:
    db.session.close()
    user = db.session.get_one(User, user_id)
    return user.name, user.email


def test_the_same_issuer_and_subject_are_the_same_person(inside: Inside) -> None:
    identity = inside.identity()
    assert people.welcome(identity) == people.welcome(identity)


def test_the_same_subject_elsewhere_is_another_person(inside: Inside) -> None:
    ours = inside.identity(subject="00u1")
    theirs = inside.identity(subject="00u1", issuer="https://other.example.com")
    assert people.welcome(ours) != people.welcome(theirs)


def test_the_same_email_is_no_reason_to_be_taken_for_someone(inside: Inside) -> None:
    email = "alice@example.com"
    known, stranger = (people.welcome(inside.identity(email=email)) for _ in range(2))
    assert known != stranger


def test_a_person_is_called_as_the_provider_says_today(inside: Inside) -> None:
    before = inside.identity("Alice Adams")
    user_id = people.welcome(before)
    people.welcome(replace(before, name="Alice Brown", email="brown@example.com"))
    assert named(user_id) == ("Alice Brown", "brown@example.com")


def test_a_newcomer_belongs_to_the_lobby_and_nowhere_else(inside: Inside) -> None:
    inside.room(inside.newcomer())
    bob = inside.newcomer("Bob")
    assert [m.room.slug for m, _ in rooms.of(bob)] == ["lobby"]


def test_a_newcomer_has_read_what_was_said_before(inside: Inside) -> None:
    alice = inside.newcomer()
    lobby = rooms.of(alice)[0][0].room_id
    inside.post(alice, lobby)
    bob = inside.newcomer("Bob")
    membership, unread = rooms.of(bob)[0]
    assert unread == 0
    assert membership.last_read_seq == membership.room.last_seq > 0
    inside.post(alice, lobby)
    assert rooms.of(bob)[0][1] == 1


def test_signing_in_again_reads_nothing(inside: Inside) -> None:
    identity = inside.identity("Bob")
    bob = db.session.get_one(User, people.welcome(identity))
    alice = inside.newcomer()
    inside.post(alice, rooms.of(alice)[0][0].room_id)
    people.welcome(identity)
    assert [unread for _, unread in rooms.of(bob)] == [1]


def test_someone_who_comes_in_twice_at_once_is_one_person(inside: Inside) -> None:
    identity = inside.identity()
    found = inside.at_once([lambda: people.welcome(identity)] * 4)
    assert found == [found[0]] * 4
    lobby = select(func.count()).select_from(Membership).join(Membership.room)
    lobby = lobby.where(Membership.user_id == found[0], Room.slug == "lobby")
    assert db.session.scalar(lobby) == 1
