"""What must be entered at the provider, letter by letter, because of `PUBLIC_URL`."""

from __future__ import annotations

from ..config import Settings

CALLBACK, HOME = "/authorization-code/callback", "/"
UNKNOWN = "https://<the task's IP address>"


def sign_in_uri(public_url: str) -> str:
    return f"{public_url}{CALLBACK}"


def to_enter(settings: Settings) -> str:
    """What the provider must be told, for people to paste."""
    base, note = settings.public_url, ""
    if base is None:
        port = "" if settings.port == 443 else f":{settings.port}"
        base = f"{UNKNOWN}{port}"
        note = "\n  (known only once it runs, and new at each run: `make url` prints them)"
    return (
        "At the provider enter these, letter by letter:\n"
        f"  Sign-in redirect URI   {sign_in_uri(base)}\n"
        f"  Sign-out redirect URI  {base}{HOME}{note}"
    )
