"""Who is it? Sign-in, sign-out, and the way from a cookie to a user.

Two cookies: `chat_session` is the opaque key of a session on the server; `chat_signin` (Flask's
signed session) holds the state of a sign-in that is under way, for ten minutes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import cast
from urllib.parse import urlencode, urlsplit

import gevent
from flask import Blueprint, Flask, g, redirect, request, url_for
from flask import session as sign_in_state
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from . import limits, metrics, oidc, people, sessions
from .config import cookie_name
from .errors import Action, ChatError, Forbidden, Unauthenticated
from .extensions import oauth, settings
from .models import Session, User
from .provider import NAME, SIGN_IN_LIFE_S, Provider

log = logging.getLogger(__name__)

MAX_NEXT = 200
LEARN_AGAIN_S = 5.0

blueprint = Blueprint("auth", __name__)


def init_app(app: Flask) -> None:
    app.permanent_session_lifetime = timedelta(seconds=SIGN_IN_LIFE_S)
    app.register_blueprint(blueprint)


def current_session() -> Session | None:
    """The session of this request, or of this socket event: looked up anew for each."""
    if "session" not in g:
        g.session = sessions.find(request.cookies.get(_cookie()))
    return cast("Session | None", g.session)


def learn_provider(app: Flask) -> None:
    """Fetch the provider's metadata before anyone asks; again and again while it is away.

    A page's CSP names where signing out may lead, which only the metadata tells.
    """
    with app.app_context():
        while True:
            try:
                _provider().load_server_metadata()
                return
            except Exception:  # why, is logged when someone signs in
                gevent.sleep(LEARN_AGAIN_S)


def knows(app: Flask, cookies: Mapping[str, str]) -> bool:
    """Whether a handshake's cookies are those of a live session; asked outside of any request."""
    with app.app_context():
        return sessions.find(cookies.get(_cookie())) is not None


def current_user() -> User:
    """Who this request, or socket event, is from. Raises `Unauthenticated` if that is nobody."""
    session = current_session()
    if session is None:
        raise Unauthenticated()
    return session.user


def login_required() -> ResponseReturnValue | None:
    """For `before_request` of a blueprint of pages: sends whoever is not signed in to sign in."""
    session = current_session()
    if session is None:
        back = request.full_path if request.query_string else request.path
        return redirect(f"{url_for('auth.login')}?{urlencode({'next': back})}")
    sessions.touch(session)
    return None


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Send the browser to the provider; whoever is signed in already goes straight on."""
    next_path = safe_path(request.args.get("next"))
    if current_session() is not None:
        return redirect(next_path or url_for("chat.index"))
    limits.take("sign_in", request.remote_addr or "")
    sign_in_state.permanent = True
    return redirect(oidc.begin(_provider(), _public("auth.callback"), next_path))


@blueprint.get("/authorization-code/callback")
def callback() -> ResponseReturnValue:
    """Take the provider's answer, and start a session for whom it names."""
    limits.take("sign_in", request.remote_addr or "")
    try:
        sign_in = oidc.finish(_provider(), request.args)
        _require_group(sign_in.identity)
    except ChatError as error:
        metrics.sign_ins.labels(error.code).inc()
        raise
    metrics.sign_ins.labels("ok").inc()
    user_id = people.welcome(sign_in.identity)
    previous = current_session()
    key = sessions.start(user_id, sign_in.identity)
    if previous is not None:
        # This browser's key is new at each sign-in: one that was planted before is worth nothing.
        sessions.end(previous.id, sessions.REPLACED)
    response = redirect(safe_path(sign_in.next) or url_for("chat.index"))
    _set_cookie(response, key)
    return response


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session here, then at the provider (OpenID Connect RP-Initiated Logout 1.0)."""
    session = current_session()
    target = None
    if session is not None:
        id_token = session.id_token
        sessions.end(session.id, sessions.SIGNED_OUT)
        target = oidc.end_session_url(_provider(), id_token, _public("pages.home"))
    response = redirect(target or url_for("pages.home"), code=303)
    response.delete_cookie(_cookie(), secure=settings().secure, httponly=True, samesite="Lax")
    return response


def safe_path(path: str | None) -> str | None:
    """`path` if it leads to a page of this site and nowhere else, else None.

    Browsers read a backslash as a slash and drop control characters, so `/\\evil.example` and
    `/<tab>/evil.example` lead to another host: both are refused whole.
    """
    # The state of several sign-ins shares one cookie, and a cookie holds 4 KiB.
    if (
        not path
        or len(path) > MAX_NEXT
        or not re.fullmatch(r"/[\x21-\x5b\x5d-\x7e]*", path)
        or path.startswith("//")
    ):
        return None
    parts = urlsplit(path)
    return None if parts.scheme or parts.netloc else path


def _require_group(identity: oidc.Identity) -> None:
    allowed = settings().allowed_groups
    if allowed and not identity.groups:
        log.warning("sign-in: ALLOWED_GROUPS is set, but the ID token names no groups")
    if allowed and not allowed & identity.groups:
        raise Forbidden(
            "You are signed in with your company, but not in a group that may use this chat. "
            "Ask those who run it.",
            title="You have no access",
            action=Action("/", "Home"),
        )


def _provider() -> Provider:
    return cast(Provider, oauth.create_client(NAME))


def _public(endpoint: str) -> str:
    """A page's absolute address; of the request's Host only `Settings.origin` believes anything."""
    return f"{settings().origin(request.host)}{url_for(endpoint)}"


def _cookie() -> str:
    return cookie_name(settings(), "chat_session")


def _set_cookie(response: Response, key: str) -> None:
    response.set_cookie(
        _cookie(),
        key,
        max_age=int(settings().session_hours * 3600),
        secure=settings().secure,
        httponly=True,
        samesite="Lax",
    )
