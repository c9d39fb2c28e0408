"""The pages: `pages` is public, `chat` is for whoever is signed in, as a whole."""

from __future__ import annotations

from flask import Blueprint, Flask, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from . import access, auth, rooms

PRODUCT = "Commons"

pages = Blueprint("pages", __name__)
chat = Blueprint("chat", __name__, url_prefix="/chat")
chat.before_request(auth.login_required)


def init_app(app: Flask) -> None:
    app.register_blueprint(pages)
    app.register_blueprint(chat)
    app.context_processor(_on_every_page)


@pages.get("/")
def home() -> str:
    return render_template("home.html")


@chat.get("")
def index() -> ResponseReturnValue:
    return redirect(url_for("chat.room", slug=rooms.LOBBY))


@chat.get("/<slug>")
def room(slug: str) -> str:
    membership = access.enter_by_slug(auth.current_user(), slug)
    return render_template("chat.html", slug=membership.room.slug, room=membership.room.name)


def _on_every_page() -> dict[str, object]:
    try:
        session = auth.current_session()
    except SQLAlchemyError:
        # The page says that the store is away; who sees it is then not known.
        session = None
    return {"product": PRODUCT, "user": session.user if session else None}
