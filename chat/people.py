"""The people of the chat, as the provider names them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as OrmSession

from . import rooms
from .models import User
from .oidc import Identity
from .store import write


def welcome(identity: Identity) -> int:
    """The id of the user who signed in: known already or new, named as the provider says today."""
    try:
        return write(_welcome, identity)
    except IntegrityError:
        # The same person signed in for the first time twice at once; now they are known.
        return write(_welcome, identity)


def _welcome(store: OrmSession, identity: Identity) -> int:
    known = (User.issuer == identity.issuer, User.subject == identity.subject)
    user = store.scalar(select(User).where(*known))
    if user is None:
        user = User(issuer=identity.issuer, subject=identity.subject)
        store.add(user)
    user.name, user.email = identity.name, identity.email
    store.flush()
    rooms.join_lobby(store, user.id)
    return user.id
