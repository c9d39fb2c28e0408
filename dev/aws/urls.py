"""`make url`: where the chat is, and what Okta has to be told of it."""

from __future__ import annotations

from . import cli, stack, task
from .cli import Failure
from .place import Place

CALLBACK = "/authorization-code/callback"


def show(place: Place) -> None:
    """Say where the demo and production are; raises `Failure` where there is neither."""
    demo, production = demo_url(place), production_url(place)
    if demo:
        tell("The demo", demo)
        cli.say(
            "\n  The address is the task's own, and another at each make run-task: enter the new\n"
            "  URIs then. Its certificate is its own too: the browser warns of it."
        )
    if production:
        tell("Production", production)
    if not demo and not production:
        raise Failure("nothing runs here: make run-task starts the demo, make deploy production")


def demo_url(place: Place) -> str | None:
    running = task.current(place)
    ip = task.address(running) if running else None
    return f"https://{ip}" if ip else None


def production_url(place: Place) -> str | None:
    found = stack.find(place)
    domain = found.parameters.get("DomainName") if found else None
    return f"https://{domain}" if domain else None


def tell(what: str, url: str) -> None:
    cli.say(
        f"""
  {what} is at  {url}/

  In Okta, at the app's General settings, enter
    Sign-in redirect URI   {url}{CALLBACK}
    Sign-out redirect URI  {url}/"""
    )
