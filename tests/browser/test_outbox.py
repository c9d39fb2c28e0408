"""What one says when the network, the server or the rules are in the way: late, but not lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import delete, insert

from chat.models import MEMBER, Membership
from tests import backstage
from tests.browser.chatting import (
    PATIENCE_MS,
    ChatPage,
    Room,
    Said,
    Stage,
    writes_held,
)
from tests.browser.people import EnterBrowser
from tests.cast import Arrive
from tests.provider import Provider
from tests.servers import App, Serve, free_port

SAID = ["First of all", "Then again", "And finally"]
# What Chromium writes to the console itself where there is no network, or no server.
NO_NETWORK = r"ERR_INTERNET_DISCONNECTED"
# One that is about to end answers 503, then nothing.
NO_SERVER = r"ERR_(CONNECTION|EMPTY|SOCKET)_|Connection closed before|\b503\b"


@pytest.fixture(scope="module")
def shaky_app(serve_module: Serve, shared_provider: Provider) -> App:
    """An application of this module's own, to be stopped and started.

    Its name is not `localhost`, as socket.io-client ignores there that the network is gone.
    """
    port = free_port()
    return serve_module(shared_provider, port=port, PUBLIC_URL=f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def limited_app(serve_module: Serve, shared_provider: Provider) -> App:
    return serve_module(shared_provider, RATE_MESSAGES="2 per 2 seconds")


@pytest.fixture
def stage(browser_person: EnterBrowser, arrive: Arrive, shaky_app: App) -> Stage:
    return Stage(browser_person, arrive, shaky_app)


def expect_all_there(room: Room, bodies: list[str], *chats: ChatPage) -> None:
    """Each message once and in order: on the pages, and in the store."""
    for chat in chats:
        expect(chat.bodies).to_have_text(bodies, timeout=PATIENCE_MS)
        expect(chat.unsent).to_have_count(0, timeout=PATIENCE_MS)
    assert room.bodies == bodies


# The network


def test_what_is_said_offline_goes_out_once_and_in_order(stage: Stage) -> None:
    room = stage.room("alice", "bob")
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    alice.browser.watch.allow(NO_NETWORK)
    alice.browser.context.set_offline(True)
    expect(alice.status).to_have_text("Offline")
    expect(alice.page.locator(".notice")).to_contain_text("No connection.")
    alice.send(*SAID)
    expect(alice.unsent).to_contain_text(SAID)
    for row in alice.unsent.all():
        expect(row).to_contain_text("Waiting for the connection.")
    bob.send("Anyone here?")
    expect(bob.bodies).to_have_text(["Anyone here?"])

    alice.browser.context.set_offline(False)
    expect(alice.status).to_have_text("Connected", timeout=PATIENCE_MS)
    expect_all_there(room, ["Anyone here?", *SAID], alice, bob)
    expect(alice.page.locator(".notice")).to_have_count(0)


def test_what_one_typed_is_not_sent_by_the_next_person_at_the_browser(stage: Stage) -> None:
    room = stage.room("alice", "bob")
    alice = stage.opens("alice", room)
    alice.browser.watch.allow(NO_NETWORK)
    alice.browser.context.set_offline(True)
    alice.send("A word of Alice's")
    expect(alice.unsent).to_have_count(1)
    alice.page.goto("about:blank")
    alice.browser.context.set_offline(False)

    stage.signs_in(alice.browser, "bob")
    alice.page.goto(stage.app.url + room.path)
    alice.ready().send("A word of Bob's")
    expect_all_there(room, ["A word of Bob's"], alice)

    stage.signs_in(alice.browser, "alice")
    alice.reload()
    expect_all_there(room, ["A word of Bob's", "A word of Alice's"], alice)
    expect(alice.messages.filter(has_text="A word of Alice's")).to_have_class(re.compile("mine"))


# The server


def test_a_message_on_its_way_shows_as_sending_and_is_kept_by_a_reload(stage: Stage) -> None:
    """The server has the first already when the page sends it anew; it must not be stored twice."""
    room = stage.room("alice", "bob")
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    with writes_held(stage.app):
        alice.send("One", "Two")
        for _ in range(2):
            expect(alice.unsent.locator(".body")).to_have_text(["One", "Two"])
            expect(alice.unsent.first).to_contain_text("Sending")
            alice.reload()
        expect(alice.composer).to_have_value("")
        expect(bob.messages).to_have_count(0)
    expect_all_there(room, ["One", "Two"], alice, bob)


def test_after_a_restart_pages_come_back_and_catch_up(stage: Stage) -> None:
    """Alice's by itself; Bob's as he presses a button, for its clock stands still."""
    room = stage.room("alice", "bob")
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    bob.send("Before")
    expect(alice.bodies).to_have_text(["Before"])
    for chat in (alice, bob):
        chat.browser.watch.allow(NO_SERVER)
        chat.page.clock.install()

    stage.app.stop()
    for chat in (alice, bob):
        expect(chat.status).to_have_text("Reconnecting…")
    bob.page.clock.pause_at(bob.page.evaluate("Date.now() + 1"))
    with bob.page.expect_event("requestfailed"):  # the last attempt that it makes by itself
        bob.page.clock.fast_forward(11_000)
    expect(bob.status).to_have_text("Offline")
    alice.send("Meanwhile, to nobody")
    expect(alice.unsent).to_contain_text(["Waiting for the connection."])
    room.holds(Said(stage.ids["bob"], "Meanwhile, in the store"))
    stage.app.start()

    bob.page.get_by_role("button", name="Try now").click()
    expect(bob.status).to_have_text("Connected", timeout=PATIENCE_MS)
    bob.page.clock.resume()
    alice.page.clock.fast_forward(11_000)
    expect(alice.status).to_have_text("Connected", timeout=PATIENCE_MS)
    expected = ["Before", "Meanwhile, in the store", "Meanwhile, to nobody"]
    expect_all_there(room, expected, alice, bob)


# The rules


def test_who_sends_too_quickly_need_only_wait(
    browser_person: EnterBrowser, arrive: Arrive, limited_app: App
) -> None:
    stage = Stage(browser_person, arrive, limited_app)
    room = stage.room("alice", "bob")
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    bodies = [f"Number {number}" for number in range(1, 5)]
    alice.send(*bodies)
    expect(alice.bodies).to_have_text(bodies)
    expect(alice.unsent.first).to_contain_text("You are sending quickly.")
    expect_all_there(room, bodies, alice, bob)


def test_a_refused_message_says_why_and_what_one_can_do(stage: Stage) -> None:
    """Alice is taken out of the room behind the page's back, and put back again."""
    room = stage.room("alice", "bob")
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    belongs(stage, room, "alice", False)
    alice.send("To retry", "To discard", "To edit")
    expect(alice.unsent).to_have_count(3)
    for row in alice.unsent.all():
        expect(row.get_by_role("alert")).to_contain_text(
            "Not sent. This room is gone, or you are no longer in it."
        )
    press(alice, "To discard", "Discard")
    press(alice, "To edit", "Edit")
    expect(alice.composer).to_have_value("To edit")
    expect(alice.bodies).to_have_text(["To retry"])
    assert room.bodies == []

    belongs(stage, room, "alice", True)
    alice.reload()
    expect(alice.unsent.locator(".body")).to_have_text(["To retry"])
    press(alice, "To retry", "Retry")
    expect_all_there(room, ["To retry"], alice)
    alice.send("Edited")
    expect_all_there(room, ["To retry", "Edited"], alice, bob)


def press(chat: ChatPage, body: str, button: str) -> None:
    chat.message(body).get_by_role("button", name=button).click()


def belongs(stage: Stage, room: Room, sub: str, member: bool) -> None:
    who = {"user_id": stage.ids[sub], "room_id": room.id}
    with backstage.store(stage.app) as connection:
        if member:
            connection.execute(insert(Membership).values(**who, role=MEMBER))
        else:
            connection.execute(delete(Membership).filter_by(**who))
