"""Talking: what the people in a room see of each other, and what the page makes of their text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chatting import ChatPage, Stage
from tests.browser.people import BrowserPerson, EnterBrowser
from tests.cast import Arrive
from tests.provider import Provider
from tests.servers import App

CUT_MS = 2_000
MARKUP = "<img src=x onerror=alert(1)>"

# A client of one's own in a page: it keeps to no rule of the page's.
CONNECT = """async () => {
  const { io } = await import("/static/vendor/socket.io.js");
  const socket = io({ forceNew: true, reconnection: false, transports: ["websocket"] });
  await new Promise((done, fail) => socket.once("connect", done).once("connect_error", fail));
  return socket;
}"""
# Its answer, or null where none comes.
CALL = """(socket, room) => socket.timeout(500)
  .emitWithAck("send_message", { room, body: "From beyond", client_id: crypto.randomUUID() })
  .catch(() => null)"""
REFUSAL = """async () => {
  const { io } = await import("/static/vendor/socket.io.js");
  const socket = io({ forceNew: true, reconnection: false, transports: ["websocket"] });
  const refused = new Promise(done => socket.once("connect_error", error => done(error.message)));
  return Promise.race([refused, new Promise(done => socket.once("connect", () => done("let in")))]);
}"""


@pytest.fixture
def stage(browser_person: EnterBrowser, arrive: Arrive, strict_app: App) -> Stage:
    return Stage(browser_person, arrive, strict_app)


def comes_in(browser_person: EnterBrowser, sub: str) -> ChatPage:
    """Someone who signs in through the provider's page."""
    browser = browser_person(sub)
    return ChatPage(browser.page, browser).ready()


def expect_message(chat: ChatPage, body: str, author: str) -> None:
    """The message stands there once, sent, with whose it is and a time of just now."""
    row = chat.message(body)
    expect(row).to_have_count(1)
    expect(row).not_to_have_class(re.compile("unsent"))
    expect(row.locator("bdi")).to_have_text(author)
    expect(row.locator("time")).to_have_text(re.compile(r"^\d{1,2}:\d\d"))
    written = datetime.fromisoformat(row.locator("time").get_attribute("datetime") or "")
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)


def dialogs_of(page: Page) -> list[str]:
    """Fills with what the page's scripts put before the person."""
    opened: list[str] = []

    def note(dialog: object) -> None:
        opened.append(dialog.message)  # type: ignore[attr-defined]
        dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", note)
    return opened


# The whole way


def test_two_people_talk_and_who_signs_out_is_out_everywhere(
    browser_person: EnterBrowser, provider: Provider
) -> None:
    alice, bob = comes_in(browser_person, "alice"), comes_in(browser_person, "bob")
    talk = [("Good morning, Bob", "Alice"), ("Morning! Slept well?", "Bob"), ("Never", "Alice")]
    for body, author in talk:
        (alice if author == "Alice" else bob).send(body)
        for chat in (alice, bob):
            expect_message(chat, body, author)
    for chat in (alice, bob):
        expect(chat.page.locator(".day").last).to_have_text("Today")

    alice.reload()
    for body, author in talk:
        expect_message(alice, body, author)

    signs_out_everywhere(alice)
    assert provider.refusals == []

    alice.page.goto(alice.browser.app.url + "/chat")
    expect(alice.page.get_by_role("heading", name="Who are you?")).to_be_visible()
    alice.page.locator("button[value='alice']").click()
    expect_message(alice.ready(), "Morning! Slept well?", "Bob")
    expect(bob.message("From beyond")).to_have_count(0)


def signs_out_everywhere(alice: ChatPage) -> None:
    """She signs out in one tab; the other, its sockets and her cookie's key are worth nothing."""
    browser = alice.browser
    other = ChatPage(browser.new_tab(), browser).ready()
    lobby = browser.context.request.get(browser.app.url + "/api/rooms").json()["rooms"][0]["id"]
    socket = other.page.evaluate_handle(CONNECT)
    cookies = browser.context.cookies(browser.app.url)

    alice.page.get_by_role("button", name="Sign out").click()
    expect(other.composer).to_be_disabled(timeout=CUT_MS)
    expect(other.status).to_have_text("Signed out", timeout=CUT_MS)
    expect(other.page.get_by_role("alert")).to_contain_text("You signed out in another tab")
    expect(other.send_button).to_be_disabled()
    expect(alice.page.get_by_role("link", name="Sign in").first).to_be_visible()

    assert socket.evaluate(CALL, lobby) is None
    browser.watch.allow("status of 401")
    browser.context.add_cookies(cookies)  # type: ignore[arg-type]
    assert other.page.evaluate("() => fetch('/api/me').then(answer => answer.status)") == 401
    assert other.page.evaluate(REFUSAL) == "unauthenticated"


# Text is text


def test_markup_in_a_name_and_a_body_is_text(
    stage: Stage, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(provider.people, "mallory", {"name": MARKUP, "email": "m@example.com"})
    room = stage.room("alice", "mallory")
    alice, mallory = stage.opens("alice", room), stage.opens("mallory", room)
    opened = [dialogs_of(chat.page) for chat in (alice, mallory)]
    mallory.composer.press_sequentially("<")
    expect(alice.typing).to_have_text(f"{MARKUP} is typing…")
    mallory.send(MARKUP)
    for chat in (alice, mallory):
        expect(chat.bodies).to_have_text([MARKUP])
        expect(chat.page.locator(".message .author")).to_have_text([MARKUP])
    expect(alice.announced).to_have_text(f"{MARKUP}: {MARKUP}")
    expect(mallory.page.locator(".who bdi")).to_have_text(MARKUP)
    alice.reload()
    expect(alice.bodies).to_have_text([MARKUP])
    for chat in (alice, mallory):
        expect(chat.page.locator("main img, img[src=x]")).to_have_count(0)
    assert opened == [[], []]


def test_web_addresses_are_links_and_nothing_else_is(stage: Stage) -> None:
    room = stage.room("alice")
    alice = stage.opens("alice", room)
    alice.send(
        "See https://example.com/a?b=c&d=(e). Not javascript:alert(1), nor data:text/html,hi,"
        " nor <a href='javascript:alert(2)'>this</a>, but (http://example.org/x)!"
    )
    links = alice.page.locator(".message a")
    expect(links).to_have_text(["https://example.com/a?b=c&d=(e)", "http://example.org/x"])
    for link, href in zip(
        links.all(), ["https://example.com/a?b=c&d=(e)", "http://example.org/x"], strict=True
    ):
        expect(link).to_have_attribute("href", href)
        expect(link).to_have_attribute("rel", "noopener noreferrer")
        expect(link).to_have_attribute("target", "_blank")


# Writing


def test_enter_sends_and_shift_enter_begins_a_new_line(stage: Stage) -> None:
    """Nor does Enter send where it picks a word of an input method."""
    room = stage.room("alice")
    alice = stage.opens("alice", room)
    expect(alice.composer).to_be_focused()
    alice.page.keyboard.type("One line")
    alice.page.keyboard.press("Shift+Enter")
    alice.page.keyboard.type("and another")
    alice.composer.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    expect(alice.composer).to_have_value("One line\nand another")
    alice.page.keyboard.press("Enter")
    expect(alice.composer).to_have_value("")
    expect(alice.composer).to_be_focused()
    expect(alice.bodies).to_have_js_property("innerText", "One line\nand another")
    expect(alice.unsent).to_have_count(0)
    assert room.bodies == ["One line\nand another"]


def test_nothing_is_not_sent(stage: Stage) -> None:
    """What is sent next stands alone, so the wait for a message that must not come has an end."""
    room = stage.room("alice")
    alice = stage.opens("alice", room)
    for nothing in ("", "   ", "\n \n\t", "\u3000\u00a0"):
        alice.composer.fill(nothing)
        expect(alice.send_button).to_be_disabled()
        alice.composer.press("Enter")
    alice.send("Something")
    expect(alice.bodies).to_have_text(["Something"])
    expect(alice.unsent).to_have_count(0)
    assert room.bodies == ["Something"]


def test_a_message_over_the_limit_cannot_be_sent_and_the_page_says_why(stage: Stage) -> None:
    room = stage.room("alice")
    alice = stage.opens("alice", room)
    alice.composer.fill("😀" * 4_001)
    expect(alice.remark).to_have_text("1 over the limit of 4,000 characters")
    expect(alice.send_button).to_be_disabled()
    expect(alice.composer).to_have_attribute("aria-invalid", "true")
    alice.composer.press("Enter")
    expect(alice.messages).to_have_count(0)
    expect(alice.composer).to_have_value("😀" * 4_001)
    alice.composer.fill("😀" * 4_000)
    expect(alice.send_button).to_be_enabled()
    alice.send_button.click()
    expect(alice.bodies).to_have_count(1)
    expect(alice.unsent).to_have_count(0)
    assert room.bodies == ["😀" * 4_000]


def test_a_draft_survives_a_reload(stage: Stage) -> None:
    alice = stage.opens("alice", stage.room("alice"))
    alice.composer.fill("Half a thought")
    alice.reload()
    expect(alice.composer).to_have_value("Half a thought")
    alice.send("A whole one")
    expect(alice.bodies).to_have_text(["A whole one"])
    expect(alice.composer).to_have_value("")


def test_typing_shows_to_the_others_and_goes(stage: Stage) -> None:
    room = stage.room("alice", "bob")
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    alice.page.clock.install()
    bob.composer.press_sequentially("Hm")
    expect(alice.typing).to_have_text("Bob is typing…")
    expect(bob.typing).to_have_text("")
    bob.send("Hm, well")
    expect(alice.bodies).to_have_text(["Hm, well"])
    expect(alice.typing).to_have_text("")
    bob.composer.press_sequentially("And")
    expect(alice.typing).to_have_text("Bob is typing…")
    alice.page.clock.fast_forward(6_000)
    expect(alice.typing).to_have_text("")


def test_what_one_says_is_in_ones_other_tab_too_once(stage: Stage) -> None:
    room = stage.room("alice")
    first = stage.opens("alice", room)
    second = ChatPage(first.browser.new_tab(room.path), first.browser).ready()
    first.send("One", "Two")
    second.send("Three")
    for tab in (first, second):
        expect(tab.bodies).to_have_count(3)
        expect(tab.unsent).to_have_count(0)
    expect(first.bodies).to_have_text(room.bodies)
    expect(second.bodies).to_have_text(room.bodies)
    assert sorted(room.bodies) == ["One", "Three", "Two"]


# Around it


def test_the_header_leads_about_and_says_who_one_is(stage: Stage) -> None:
    alice = stage.opens("alice", stage.room("alice"))
    header = alice.page.locator("header.top")
    expect(header.locator(".who")).to_contain_text("Alice")
    expect(header.get_by_role("button", name="Sign out")).to_be_visible()
    expect(header.get_by_role("link", name="Chat")).to_have_attribute("aria-current", "page")
    header.get_by_role("link", name="Home", exact=True).click()
    alice.page.wait_for_url(stage.app.url + "/")
    expect(header.get_by_role("link", name="Home", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    alice.page.locator("header.top").get_by_role("link", name="Chat").click()
    alice.page.wait_for_url(stage.app.url + "/chat/lobby")
    expect(alice.page.get_by_role("heading", name="Lobby", exact=True)).to_be_visible()


def test_a_room_that_one_may_not_see_is_a_page_like_one_that_does_not_exist(stage: Stage) -> None:
    room = stage.room("bob")
    alice = stage.browser("alice")
    alice.watch.allow("status of 404")
    seen = [shows_missing(alice, path) for path in ("/chat/nope", room.path)]
    assert seen[0] == seen[1]
    stage.opens("bob", room)


def shows_missing(alice: BrowserPerson, path: str) -> str:
    answer = alice.page.goto(alice.app.url + path)
    assert answer
    assert answer.status == 404
    expect(alice.page.get_by_role("heading", name="Not found")).to_be_visible()
    expect(alice.page.get_by_role("link", name="Go to the home page")).to_be_visible()
    return alice.page.locator("main").inner_text()


def test_the_home_page_too_moves_from_another_name_of_this_host(
    browser_person: EnterBrowser,
) -> None:
    alice = browser_person("alice", sign_in=False)
    alice.watch.hosts.add(f"127.0.0.1:{alice.app.port}")
    alice.page.goto(alice.app.address + "/")
    alice.page.wait_for_url(alice.app.url + "/")
    expect(alice.page.get_by_role("link", name="Sign in").first).to_be_visible()
