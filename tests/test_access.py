"""The door: a member enters; a room that one may not see answers as one that does not exist."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from werkzeug.test import TestResponse

from chat import access
from chat.errors import NotFound
from chat.models import User
from chat.wire import MAX_ID
from tests import backstage
from tests.cast import Arrive
from tests.inside import Inside
from tests.servers import App

NOWHERE = 987_654_321


@pytest.fixture
def alice(inside: Inside) -> User:
    return inside.newcomer("Alice")


@pytest.fixture
def bob(inside: Inside) -> User:
    return inside.newcomer("Bob")


def test_a_member_enters(inside: Inside, alice: User) -> None:
    room = inside.room(alice)
    membership = access.enter(alice, room)
    assert (membership.user_id, membership.room_id) == (alice.id, room)
    assert membership.user is alice
    assert access.enter_by_slug(alice, membership.room.slug).id == membership.id


def test_no_one_else_enters(inside: Inside, alice: User, bob: User) -> None:
    room = inside.room(alice)
    slug = access.enter(alice, room).room.slug
    with pytest.raises(NotFound):
        access.enter(bob, room)
    with pytest.raises(NotFound):
        access.enter_by_slug(bob, slug)


@pytest.mark.parametrize("room_id", [NOWHERE, 0, -1, MAX_ID])
def test_no_one_enters_what_does_not_exist(inside: Inside, alice: User, room_id: int) -> None:
    with pytest.raises(NotFound):
        access.enter(alice, room_id)


def test_all_that_one_entered_is_ones_own(inside: Inside, alice: User, bob: User) -> None:
    hers, _his = inside.room(alice), inside.room(bob)
    assert [m.room_id for m in access.all_entered(alice)][1:] == [hers]


# The same from outside: whole answers are compared, as any difference would tell.


def everything(answer: TestResponse) -> tuple[Any, ...]:
    return answer.status, sorted(answer.headers), answer.data


PATHS = ["/api/rooms/{}", "/api/rooms/{}/messages", "/api/rooms/{}/changes?after=0"]


@pytest.mark.parametrize("path", PATHS)
def test_a_room_of_others_answers_over_http_as_none(house: Inside, path: str) -> None:
    with house.context():
        alice, bob = house.newcomer("Alice"), house.newcomer("Bob")
        room = house.room(alice)
        hers, his = house.sign_in(alice), house.sign_in(bob)
    assert house.client(hers).get(path.format(room)).status_code == 200
    forbidden = house.client(his).get(path.format(room))
    assert forbidden.status_code == 404
    assert everything(forbidden) == everything(house.client(his).get(path.format(NOWHERE)))


def test_a_page_of_others_answers_as_none(house: Inside) -> None:
    with house.context():
        alice, bob = house.newcomer("Alice"), house.newcomer("Bob")
        slug = access.enter(alice, house.room(alice)).room.slug
        hers, his = house.sign_in(alice), house.sign_in(bob)
    assert house.client(hers).get(f"/chat/{slug}").status_code == 200
    forbidden = house.client(his).get(f"/chat/{slug}")
    assert forbidden.status_code == 404
    assert everything(forbidden) == everything(house.client(his).get("/chat/nowhere"))


EVENTS: dict[str, dict[str, Any]] = {
    "send_message": {"body": "Hello", "client_id": str(uuid.uuid4())},
    "typing": {},
    "mark_read": {"seq": 0},
}


@pytest.mark.parametrize("event", EVENTS)
async def test_a_room_of_others_answers_over_a_socket_as_none(
    app: App, arrive: Arrive, event: str
) -> None:
    alice, bob = (arrive(app, name).signs_in() for name in ("alice", "bob"))
    room = backstage.private_room(app, alice)
    async with alice.socket() as hers, bob.socket() as his:
        assert (await hers.call(event, {"room": room, **EVENTS[event]}))["ok"] is True
        forbidden = await his.call(event, {"room": room, **EVENTS[event]})
        unknown = await his.call(event, {"room": NOWHERE, **EVENTS[event]})
    assert forbidden["error"]["code"] == "not_found"
    assert forbidden == unknown
