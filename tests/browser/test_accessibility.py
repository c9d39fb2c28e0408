"""The pages without a mouse, on a narrow screen, and as assistive technology is told of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chatting import ChatPage, Room, Said, Stage
from tests.browser.people import BrowserPerson, EnterBrowser
from tests.cast import Arrive
from tests.provider import Provider
from tests.servers import ROOT, App, require

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SCHEMES = ("light", "dark")
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 320, "height": 640}
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2
LONG_LINK = f"https://example.com/{LONG}?q={LONG}"

# The rules' ids, and what each found: enough to mend it.
VIOLATIONS = """async () => (await axe.run()).violations.flatMap(({ id, nodes }) =>
  nodes.map(node => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))"""
# A change of colours is a transition, which takes a frame even where motion is reduced.
SETTLED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  const running = document.getAnimations().filter(it => it instanceof CSSTransition);
  await Promise.allSettled(running.map(it => it.finished));
}"""
FOCUSED = """() => {
  const it = document.activeElement;
  return it.getAttribute("aria-label") || it.innerText.trim() || it.tagName;
}"""
SHOWS_FOCUS = """() => {
  const it = document.activeElement;
  if (it === document.body) return true;
  if (it.id === "composer") return getComputedStyle(it.closest("form")).boxShadow !== "none";
  const { outlineStyle, outlineWidth } = getComputedStyle(it);
  return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
}"""
# What sticks out of the window, neither there for screen readers only nor cut with an ellipsis.
STICKS_OUT = """() => [...document.querySelectorAll("body *")]
  .filter(it => !it.closest(".visually-hidden, .skip, [aria-hidden=true]"))
  .filter(it => getComputedStyle(it.parentElement).textOverflow !== "ellipsis")
  .filter(it => it.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    || it.getBoundingClientRect().left < -1)
  .map(it => it.outerHTML.slice(0, 120))"""
SCROLLS_SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll("body *")]
  .filter(it => it.scrollWidth > it.clientWidth + 1)
  .filter(it => ["auto", "scroll"].includes(getComputedStyle(it).overflowX)
    || it === document.documentElement)
  .map(it => it.outerHTML.slice(0, 120))"""


@pytest.fixture
def stage(browser_person: EnterBrowser, arrive: Arrive, strict_app: App) -> Stage:
    return Stage(browser_person, arrive, strict_app)


@pytest.fixture
def room(stage: Stage) -> Room:
    """Alice and Bob have said things here that are hard to lay out."""
    room = stage.room("alice", "bob")
    alice, bob = (stage.ids[sub] for sub in ("alice", "bob"))
    room.holds(*hard_to_lay_out(alice, bob))
    return room


def hard_to_lay_out(one: int, other: int) -> list[Said]:
    return [
        Said(one, "Hello"),
        Said(one, "Two\nlines"),
        Said(other, LONG_LINK),
        Said(one, LONG),
        Said(other, "שלום, and left to right again"),
    ]


@pytest.fixture
def reader(stage: Stage) -> BrowserPerson:
    require(AXE.exists(), "node_modules/axe-core (run `make test`)")
    return stage.browser("alice", reduced_motion="reduce")


def looks(page: Page, check: Callable[[], list[str]]) -> dict[str, list[str]]:
    """What `check` finds in light and dark, on a wide and a narrow screen."""
    found = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.evaluate(SETTLED)
            found[f"{scheme}, {size['width']} px"] = check()
    return {look: problems for look, problems in found.items() if problems}


def expect_nothing_from_axe(page: Page) -> None:
    """The page's CSP is none of axe's concern: it is evaluated from outside, like all in tests."""
    page.evaluate(AXE.read_text())
    assert looks(page, lambda: page.evaluate(VIOLATIONS)) == {}


# axe


def test_axe_finds_nothing_on_the_home_page(reader: BrowserPerson) -> None:
    reader.page.goto(reader.app.url)
    expect_nothing_from_axe(reader.page)
    reader.context.clear_cookies()
    reader.page.reload()
    expect(reader.page.get_by_role("link", name="Sign in").first).to_be_visible()
    expect_nothing_from_axe(reader.page)


def test_axe_finds_nothing_on_an_error_page(reader: BrowserPerson) -> None:
    reader.watch.allow("status of 404")
    reader.page.goto(reader.app.url + "/no/such/page")
    expect(reader.page.get_by_role("heading")).to_be_visible()
    expect_nothing_from_axe(reader.page)


def test_axe_finds_nothing_in_an_empty_room(reader: BrowserPerson, stage: Stage) -> None:
    reader.page.goto(reader.app.url + stage.room("alice").path)
    ChatPage(reader.page, reader).ready()
    expect(reader.page.get_by_text("Nobody has written yet.")).to_be_visible()
    expect_nothing_from_axe(reader.page)


def test_axe_finds_nothing_in_a_room_with_messages(reader: BrowserPerson, room: Room) -> None:
    reader.page.goto(reader.app.url + room.path)
    chat = ChatPage(reader.page, reader).ready()
    expect(chat.messages).to_have_count(5)
    chat.composer.fill("x" * 4_001)
    expect_nothing_from_axe(reader.page)


def test_axe_finds_nothing_where_something_is_wrong(reader: BrowserPerson, stage: Stage) -> None:
    """A message that is refused, the way down to new ones, and the session's end."""
    room = stage.room("alice", "bob")
    room.holds(*(Said(stage.ids["bob"], f"Line {n}\n\n\n") for n in range(20)))
    reader.page.goto(reader.app.url + room.path)
    chat = ChatPage(reader.page, reader).ready()
    reader.page.evaluate(
        """([user, room]) => localStorage.setItem(`outbox:${user}:x`, JSON.stringify({
          client_id: "x", room, body: "Refused", at: Date.now(), tab: "other",
          failure: { code: "not_found", detail: "" } }))""",
        [stage.ids["alice"], room.id],
    )
    chat.reload()
    expect(chat.page.get_by_text("Not sent.")).to_be_visible()
    stage.person("alice").sign_out()
    expect(chat.page.get_by_role("status").filter(has_text="Signed out")).to_be_visible()
    expect(chat.page.get_by_role("alert").last).to_contain_text("You have been signed out.")
    expect_nothing_from_axe(reader.page)


# The keyboard


def walks(page: Page, presses: int) -> list[str]:
    """What has the focus after each press of Tab; it shows that, the composer by its frame."""
    path = []
    for _ in range(presses):
        page.keyboard.press("Tab")
        path.append(page.evaluate(FOCUSED))
        assert page.evaluate(SHOWS_FOCUS), path[-1]
    return path


def test_tab_leads_through_the_page_in_its_order(stage: Stage, room: Room) -> None:
    """On a phone, where nothing has the focus at first; elsewhere the composer has it."""
    alice = stage.opens("alice", room, is_mobile=True, has_touch=True)
    expect(alice.messages).to_have_count(5)
    assert walks(alice.page, 8) == [
        "Skip to the content",
        "Commons, home",
        "Home",
        "Chat",
        "Sign out",
        "Messages in Private",
        LONG_LINK,
        "Message Private",
    ]


def test_one_can_read_and_write_by_the_keyboard_alone(stage: Stage) -> None:
    room = stage.room("alice", "bob")
    room.holds(*(Said(stage.ids["bob"], f"Line {n}\n\n") for n in range(40)))
    alice = stage.opens("alice", room)
    expect(alice.messages.last).to_be_in_viewport()
    expect(alice.composer).to_be_focused()
    assert "Skip to the content" in walks(alice.page, 2)
    alice.page.keyboard.press("Enter")
    expect(alice.page.locator("main")).to_be_focused()
    assert walks(alice.page, 1) == ["Messages in Private"]
    alice.page.keyboard.press("Home")
    expect(alice.messages.first).to_be_in_viewport()
    alice.page.keyboard.press("Tab")
    expect(alice.jump).to_be_focused()
    alice.page.keyboard.press("Enter")
    expect(alice.messages.last).to_be_in_viewport()
    expect(alice.jump).to_have_count(0)
    alice.page.keyboard.press("Tab")
    expect(alice.composer).to_be_focused()
    alice.page.keyboard.type("By hand")
    alice.page.keyboard.press("Tab")
    expect(alice.send_button).to_be_focused()
    alice.page.keyboard.press("Space")
    expect(alice.bodies.last).to_have_text("By hand")
    expect(alice.composer).to_be_focused()


# The narrow screen


def test_nothing_scrolls_sideways_at_320_px(
    stage: Stage, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(provider.people, "dora", {"name": LONG, "email": f"{LONG}@example.com"})
    room = stage.room("alice", "dora")
    alice, dora = (stage.ids[sub] for sub in ("alice", "dora"))
    room.holds(*hard_to_lay_out(dora, alice))
    browser = stage.browser("dora", viewport=NARROW)
    browser.watch.allow("status of 404")
    for path in ("/", "/no/such/page", "/chat/nope"):
        browser.page.goto(browser.app.url + path)
        assert sideways(browser.page) == [], path
    browser.page.goto(browser.app.url + room.path)
    chat = ChatPage(browser.page, browser).ready()
    expect(chat.messages).to_have_count(5)
    chat.composer.fill(LONG)
    assert sideways(browser.page) == []
    expect(chat.composer).to_be_in_viewport(ratio=1)
    expect(chat.send_button).to_be_in_viewport(ratio=1)


def sideways(page: Page) -> list[str]:
    found: list[str] = page.evaluate(STICKS_OUT) + page.evaluate(SCROLLS_SIDEWAYS)
    return found


# The screen reader


def test_arrivals_are_announced_and_history_is_not(stage: Stage, room: Room) -> None:
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    expect(alice.messages).to_have_count(5)
    expect(alice.log).to_have_attribute("aria-live", "off")
    bob.send("A new one")
    expect(alice.announced).to_have_text(["Bob: A new one"])
    alice.send("One of her own")
    bob.send("Another")
    expect(alice.announced).to_have_text(["Bob: A new one", "Bob: Another"])
    alice.reload()
    expect(alice.messages).to_have_count(8)
    expect(alice.announced).to_have_count(0)
