"""The JSON API: its shapes, who is let in, and how it says no."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.models import User
from tests.inside import SAME_ORIGIN, Inside, change

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ME = {"id": int, "name": str, "email": str, "limits": dict}
ROOM = {
    "id": int,
    "slug": str,
    "name": str,
    "topic": str,
    "kind": str,
    "archived": bool,
    "role": str,
    "last_seq": int,
    "last_read_seq": int,
    "unread": int,
    "mentions": int,
}
MESSAGE = {
    "id": int,
    "room": int,
    "seq": int,
    "changed_seq": int,
    "author": dict,
    "body": str,
    "created_at": str,
    "edited_at": type(None),
    "deleted": bool,
    "reactions": list,
}
PAGE = {"messages": list, "last_seq": int, "more": bool}


class Cast(NamedTuple):
    """Alice and Bob with a room of theirs, in which each said something; Charlie is nobody."""

    alice: FlaskClient
    bob: FlaskClient
    charlie: FlaskClient
    user: User
    room: int


@pytest.fixture
def cast(house: Inside) -> Cast:
    with house.context():
        alice, bob = house.newcomer("Alice"), house.newcomer("Bob")
        room = house.room(alice, bob)
        house.post(alice, room, "Hello", "11111111-1111-4111-8111-111111111111")
        house.post(bob, room, "Hello Alice", "22222222-2222-4222-8222-222222222222")
        keys = house.sign_in(alice), house.sign_in(bob)
    return Cast(*(house.client(key) for key in (*keys, None)), alice, room)


def shape(value: dict[str, Any]) -> dict[str, type]:
    return {name: type(of) for name, of in value.items()}


def assert_error(answer: TestResponse, status: int, code: str) -> None:
    """The whole of an error's shape, and that it tells nothing of the inside."""
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert shape(answer.json) == {"error": dict}
    assert shape(answer.json["error"]) == {"code": str, "message": str}
    assert answer.json["error"]["code"] == code
    assert "Traceback" not in answer.text


# Each route, and each refused to Charlie

ROUTES = [
    "/api/me",
    "/api/rooms",
    "/api/rooms/{}",
    "/api/rooms/{}/messages",
    "/api/rooms/{}/changes",
]


@pytest.mark.parametrize("path", ROUTES)
def test_alice_is_let_in(cast: Cast, path: str) -> None:
    answer = cast.alice.get(path.format(cast.room))
    assert answer.status_code == 200
    assert answer.content_type == "application/json"


@pytest.mark.parametrize("path", [*ROUTES, "/api/rooms/987654321", "/api/", "/api/nothing/here"])
def test_charlie_is_not_and_learns_nothing(cast: Cast, path: str) -> None:
    answer = cast.charlie.get(path.format(cast.room))
    assert_error(answer, 401, "unauthenticated")
    assert answer.data == cast.charlie.get("/api/me").data


def test_every_route_is_in_this_list(house: Inside) -> None:
    rules = [r for r in house.app.url_map.iter_rules() if r.endpoint.startswith("api.")]
    known = {re.sub("<.*?>", "{}", rule.rule) for rule in rules if rule.endpoint != "api.unknown"}
    assert known == set(ROUTES)


def test_a_key_that_was_made_up_is_charlies(house: Inside) -> None:
    assert_error(house.client("A" * 43).get("/api/me"), 401, "unauthenticated")


def test_a_session_that_ended_lets_no_one_in(house: Inside, cast: Cast) -> None:
    cast.alice.post("/logout", headers=SAME_ORIGIN)
    assert_error(cast.alice.get("/api/me"), 401, "unauthenticated")


# Shapes


def test_me(cast: Cast) -> None:
    me = cast.alice.get("/api/me").json
    assert shape(me) == ME
    assert me["limits"] == {"body": 4_000}
    assert (me["id"], me["name"]) == (cast.user.id, "Alice")
    assert cast.bob.get("/api/me").json["name"] == "Bob"


def test_my_rooms(cast: Cast) -> None:
    answer = cast.alice.get("/api/rooms").json
    assert shape(answer) == {"rooms": list}
    lobby, ours = answer["rooms"]
    assert shape(lobby) == shape(ours) == ROOM
    assert (lobby["slug"], lobby["kind"], lobby["role"]) == ("lobby", "open", "member")
    assert ours["id"] == cast.room
    assert (ours["last_seq"], ours["last_read_seq"], ours["unread"]) == (2, 0, 1)


def test_one_room_is_as_in_the_list(cast: Cast) -> None:
    answer = cast.alice.get(f"/api/rooms/{cast.room}").json
    assert shape(answer) == {"room": dict}
    assert answer["room"] == cast.alice.get("/api/rooms").json["rooms"][1]


@pytest.mark.parametrize("kind", ["messages", "changes"])
def test_a_page_of_messages(cast: Cast, kind: str) -> None:
    page = cast.alice.get(f"/api/rooms/{cast.room}/{kind}").json
    assert shape(page) == PAGE
    mine, his = page["messages"]
    assert shape(his) == MESSAGE
    assert shape(mine) == {**MESSAGE, "client_id": str}
    assert (page["last_seq"], page["more"]) == (2, False)
    assert (mine["seq"], mine["body"], mine["room"]) == (1, "Hello", cast.room)
    assert mine["author"] == {"id": cast.user.id, "name": "Alice"}
    assert (his["deleted"], his["edited_at"], his["reactions"]) == (False, None, [])
    assert TIME.fullmatch(his["created_at"])


@pytest.mark.parametrize("kind", ["messages", "changes"])
def test_a_client_id_is_its_authors_alone(cast: Cast, kind: str) -> None:
    def told(browser: FlaskClient) -> list[str | None]:
        page = browser.get(f"/api/rooms/{cast.room}/{kind}").json
        return [message.get("client_id", "-")[:3] for message in page["messages"]]

    assert told(cast.alice) == ["111", "-"]
    assert told(cast.bob) == ["-", "222"]


def test_pages_by_the_query(cast: Cast) -> None:
    def asked(query: str) -> tuple[list[int], bool]:
        page = cast.alice.get(f"/api/rooms/{cast.room}/{query}").json
        return [message["seq"] for message in page["messages"]], page["more"]

    assert asked("messages?limit=1") == ([2], True)
    assert asked("messages?before=2") == ([1], False)
    assert asked("messages?before=2&limit=200") == ([1], False)
    assert asked("changes?after=1") == ([2], False)
    assert asked("changes?after=0&limit=1") == ([1], True)


def test_an_email_is_for_oneself_alone(cast: Cast) -> None:
    for path in ROUTES[1:]:
        assert "@example.com" not in cast.alice.get(path.format(cast.room)).text


def test_a_removed_message_keeps_its_place(house: Inside, cast: Cast) -> None:
    with house.context():
        message = house.post(cast.user, cast.room, "Secret")
        change(message, body="", deleted=True)
    last = cast.bob.get(f"/api/rooms/{cast.room}/messages").json["messages"][-1]
    assert (last["seq"], last["changed_seq"], last["body"], last["deleted"]) == (3, 4, "", True)


# Refusals


@pytest.mark.parametrize(
    "query",
    [
        *["messages?limit=0", "messages?limit=201", "messages?limit=", "messages?before=-1"],
        *["messages?before=x", f"messages?before={10**400}", "changes?after=1.5", "changes?after="],
        *["changes?after=%00", "changes?limit=%FF", f"changes?after={2**31}"],
    ],
)
def test_a_query_that_makes_no_sense_is_invalid(cast: Cast, query: str) -> None:
    assert_error(cast.alice.get(f"/api/rooms/{cast.room}/{query}"), 400, "invalid")


@pytest.mark.parametrize(
    "path",
    [
        *["/api/", "/api/nothing", "/api/rooms/", "/api/rooms/lobby", "/api/rooms/-1"],
        *["/api/rooms/1.5", "/api/rooms/0", f"/api/rooms/{2**31}", f"/api/rooms/{10**40}"],
        *["/api/rooms/%00", "/api/me/", "/api/rooms/1/nothing"],
        pytest.param(f"/api/rooms/{'9' * 5_000}", id="an id of 5,000 digits"),
        pytest.param(f"/api/rooms/{'9' * 5_000}/messages", id="messages of it"),
    ],
)
def test_what_is_not_there_is_not_found(cast: Cast, path: str) -> None:
    assert_error(cast.alice.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_method_is_not_allowed(cast: Cast, path: str, method: str) -> None:
    answer = cast.alice.open(path.format(cast.room), method=method, headers=SAME_ORIGIN)
    assert_error(answer, 405, "invalid")
    assert "GET" in answer.headers["Allow"]


# What no route of ours does yet, added to an application of the tests' own


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An application with routes that read a body and that break, beside its own."""
    ours = Inside(f"sqlite:///{tmp_path_factory.mktemp('tried')}/chat.db")
    add_routes(ours.app)
    ours.migrate()
    yield ours
    ours.close()


def add_routes(app: Flask) -> None:
    for prefix in ("/api", "/page"):

        @app.post(f"{prefix}/body", endpoint=f"{prefix}-body")
        def body() -> dict[str, int]:
            return {"bytes": len(request.get_data())}

        @app.get(f"{prefix}/broken", endpoint=f"{prefix}-broken")
        def broken() -> str:
            raise RuntimeError("the colour of the inside is puce")


@pytest.mark.parametrize(("size", "status"), [(65_536, 200), (65_537, 413)])
def test_a_body_has_a_limit(tried: Inside, size: int, status: int) -> None:
    answer = tried.client().post("/api/body", data=b"x" * size, headers=SAME_ORIGIN)
    assert answer.status_code == status
    if status == 413:
        assert_error(answer, 413, "too_large")


def test_a_defect_is_told_without_the_inside(
    tried: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    answer = tried.client().get("/api/broken")
    assert_error(answer, 500, "unavailable")
    assert "puce" not in answer.text
    assert "puce" in caplog.text, "those who run it must find it in the log"


# Elsewhere people are told the same on a page


def assert_page(answer: TestResponse, status: int) -> None:
    assert answer.status_code == status
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.text.lstrip().lower().startswith("<!doctype html>")
    assert "Traceback" not in answer.text
    assert "puce" not in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/chat/nothing", "/chat/%00", "/%FF", "/apis"])
def test_a_page_that_is_not_there(cast: Cast, path: str) -> None:
    assert_page(cast.alice.get(path), 404)


def test_a_page_with_another_method(cast: Cast) -> None:
    answer = cast.alice.post("/chat/lobby", headers=SAME_ORIGIN)
    assert_page(answer, 405)
    assert "GET" in answer.headers["Allow"]
    assert_page(cast.alice.get("/logout"), 405)


def test_a_page_whose_form_is_too_large(tried: Inside) -> None:
    answer = tried.client().post("/page/body", data=b"x" * 65_537, headers=SAME_ORIGIN)
    assert_page(answer, 413)


def test_a_page_that_broke(tried: Inside) -> None:
    assert_page(tried.client().get("/page/broken"), 500)


def test_a_page_that_was_asked_for_wrongly(tried: Inside) -> None:
    assert_page(tried.client().get("/authorization-code/callback?state=made-up"), 400)


def test_charlie_is_sent_to_sign_in(cast: Cast) -> None:
    answer = cast.charlie.get("/chat/lobby?x=1")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login?next=%2Fchat%2Flobby%3Fx%3D1"
    assert cast.alice.get("/chat/lobby").status_code == 200
