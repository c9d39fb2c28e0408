"""Who is doing what right now. Nothing of it is stored."""

from __future__ import annotations

from . import fanout
from .models import Membership


def typing(membership: Membership) -> None:
    """Tell the others in the room that the member is typing."""
    fanout.typing(membership)
