"""The JSON API. Each route takes four steps: parse, enter, act, answer."""

from __future__ import annotations

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue

from . import access, auth, messages, rooms, wire
from .errors import NotFound
from .extensions import settings

blueprint = Blueprint("api", __name__, url_prefix="/api")


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.before_request
def require_user() -> None:
    auth.current_user()


@blueprint.get("/me")
def me() -> ResponseReturnValue:
    return jsonify(wire.me(auth.current_user(), settings().max_body_chars))


@blueprint.get("/rooms")
def my_rooms() -> ResponseReturnValue:
    found = rooms.of(auth.current_user())
    return jsonify(rooms=[wire.room(membership, unread) for membership, unread in found])


@blueprint.get("/rooms/<int:room_id>")
def one_room(room_id: int) -> ResponseReturnValue:
    membership = access.enter(auth.current_user(), _id(room_id))
    return jsonify(room=wire.room(membership, rooms.unread(membership)))


@blueprint.get("/rooms/<int:room_id>/messages")
def history(room_id: int) -> ResponseReturnValue:
    before = wire.query_number(request.args, "before", wire.MAX_ID)
    limit = wire.query_number(
        request.args, "limit", messages.PAGE_SIZE, least=1, most=messages.MAX_PAGE_SIZE
    )
    membership = access.enter(auth.current_user(), _id(room_id))
    return _page(messages.history(membership, before, limit))


@blueprint.get("/rooms/<int:room_id>/changes")
def changes(room_id: int) -> ResponseReturnValue:
    after = wire.query_number(request.args, "after", 0)
    limit = wire.query_number(
        request.args, "limit", messages.PAGE_SIZE, least=1, most=messages.MAX_PAGE_SIZE
    )
    membership = access.enter(auth.current_user(), _id(room_id))
    return _page(messages.changes(membership, after, limit))


@blueprint.route("/", defaults={"path": ""})
@blueprint.route("/<path:path>")
def unknown(path: str) -> ResponseReturnValue:
    """Whatever else is asked for under `/api`, so that a stranger can't tell which paths exist."""
    raise NotFound()


def _id(number: int) -> int:
    """A number that no id can have is that of a room which does not exist."""
    if number > wire.MAX_ID:
        raise NotFound()
    return number


def _page(page: messages.Page) -> ResponseReturnValue:
    viewer = auth.current_user().id
    return jsonify(
        messages=[wire.message(message, viewer) for message in page.messages],
        last_seq=page.last_seq,
        more=page.more,
    )
