"""Three hundred messages: where the page stands among them, and what it counts as read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chatting import ChatPage, Room, Said, Stage
from tests.browser.people import EnterBrowser
from tests.cast import Arrive
from tests.servers import App, wait_for

MANY = 300
JUMP_PX = 2
READ_S = 5

# Scrolls to a place, and watches the first message in view in each frame until older ones are
# there and three frames more have been drawn.
WATCH_OLDER = """(box, top) => new Promise((done, fail) => {
  const rows = box.getElementsByClassName("message");
  const before = rows.length;
  box.scrollTop = top;
  const edge = () => box.getBoundingClientRect().top;
  const row = [...rows].find(row => row.getBoundingClientRect().top >= edge());
  const offsets = [];
  let after = 0;
  const look = () => {
    offsets.push(row.getBoundingClientRect().top - edge());
    if (rows.length > before) after += 1;
    if (after > 3) done({ offsets, added: rows.length - before, seq: Number(row.dataset.seq) });
    else requestAnimationFrame(look);
  };
  look();
  setTimeout(() => fail(new Error("no older messages came")), 10_000);
})"""
OFFSET = "row => row.getBoundingClientRect().top"
FROM_BOTTOM = "box => Math.round(box.scrollHeight - box.clientHeight - box.scrollTop)"
SEQS = "rows => rows.map(row => Number(row.dataset.seq))"


@pytest.fixture
def stage(browser_person: EnterBrowser, arrive: Arrive, strict_app: App) -> Stage:
    return Stage(browser_person, arrive, strict_app)


@pytest.fixture
def room(stage: Stage) -> Room:
    """Alice and Bob have said 300 things here, long and short, in the course of several days."""
    room = stage.room("alice", "bob")
    speakers = [stage.ids[sub] for sub in ("alice", "bob")]
    begin = datetime.now(UTC) - timedelta(days=10)
    room.holds(
        *(
            Said(
                speakers[number // 3 % 2],
                f"Message {number}" + "\nand a further line" * (number % 7),
                begin + timedelta(minutes=47) * number,
            )
            for number in range(1, MANY + 1)
        )
    )
    return room


def says(chat: ChatPage, body: str) -> None:
    chat.send(body)
    expect(chat.unsent).to_have_count(0)


def scroll(chat: ChatPage, top: int) -> None:
    chat.log.evaluate("(box, top) => { box.scrollTop = top; }", top)


def test_a_room_opens_at_its_newest_message_and_stays_there(stage: Stage, room: Room) -> None:
    """Also in a smaller window, as when a phone's keyboard comes up."""
    alice = stage.opens("alice", room)
    expect(alice.messages.last).to_contain_text(f"Message {MANY}")
    expect(alice.messages.last).to_be_in_viewport(ratio=1)
    assert alice.log.evaluate(FROM_BOTTOM) <= 1
    alice.page.set_viewport_size({"width": 360, "height": 480})
    expect(alice.messages.last).to_be_in_viewport(ratio=1)
    expect(alice.jump).to_have_count(0)


def test_older_messages_come_without_a_jump_down_to_the_first(stage: Stage, room: Room) -> None:
    alice = stage.opens("alice", room)
    expect(alice.messages.last).to_be_in_viewport()
    while alice.page.locator(".older").count():
        watched: dict[str, Any] = alice.log.evaluate(WATCH_OLDER, 150)
        first, *later = watched["offsets"]
        assert all(abs(offset - first) <= JUMP_PX for offset in later), watched
        assert watched["added"] > 0
    assert alice.messages.evaluate_all(SEQS) == list(range(1, MANY + 1))
    expect(alice.messages.first.locator(".body")).to_have_text("Message 1 and a further line")
    scroll(alice, 0)
    expect(alice.page.get_by_text("This is the beginning of Private")).to_be_in_viewport()
    days = alice.page.locator(".day")
    labels = days.all_inner_texts()
    assert len(labels) == len(set(labels)) >= 10
    assert "Yesterday" in labels


def test_older_messages_that_could_not_be_loaded_can_be_asked_for_again(
    stage: Stage, room: Room
) -> None:
    alice = stage.opens("alice", room)
    alice.browser.watch.allow("ERR_FAILED")
    older = f"**/api/rooms/{room.id}/messages?before=*"
    alice.page.route(older, lambda route: route.abort())
    scroll(alice, 0)
    expect(alice.page.locator(".older")).to_contain_text("could not be loaded")
    alice.page.unroute(older)
    alice.page.get_by_role("button", name="Try again").click()
    expect(alice.messages.nth(99)).to_be_attached()


def test_new_messages_stay_in_view_at_the_bottom_and_move_nothing_further_up(
    stage: Stage, room: Room
) -> None:
    alice, bob = stage.opens("alice", room), stage.opens("bob", room)
    for body in ("Short", "Long\n" * 12, "Short again"):
        says(bob, body)
        expect(alice.bodies.last).to_have_text(body.strip())
        expect(alice.messages.last).to_be_in_viewport(ratio=1)
        expect(alice.jump).to_have_count(0)

    scroll(alice, 1_200)
    expect(alice.jump).to_have_text("Jump to newest")
    row = alice.messages.filter(has_text="Message 270")
    before = row.evaluate(OFFSET)
    says(bob, "News")
    expect(alice.jump).to_have_text("1 new message")
    says(bob, "More of it\n" * 10)
    expect(alice.jump).to_have_text("2 new messages")
    assert abs(row.evaluate(OFFSET) - before) <= JUMP_PX
    expect(alice.messages.last).not_to_be_in_viewport()
    alice.jump.click()
    expect(alice.messages.last).to_be_in_viewport(ratio=1)
    expect(alice.jump).to_have_count(0)
    assert alice.log.evaluate(FROM_BOTTOM) <= 1

    scroll(alice, 1_200)
    expect(alice.jump).to_be_visible()
    says(alice, "What one says oneself is in view")
    expect(alice.message("What one says oneself is in view")).to_be_in_viewport(ratio=1)


def test_what_was_in_view_counts_as_read_and_nothing_else(stage: Stage, room: Room) -> None:
    bob = stage.person("bob")
    assert room.as_seen_by(bob)["unread"] == MANY / 2
    reader, alice = stage.opens("bob", room), stage.opens("alice", room)
    wait_for(lambda: room.as_seen_by(bob)["unread"] == 0, READ_S, "the newest to count as read")
    assert room.as_seen_by(bob)["last_read_seq"] == MANY

    scroll(reader, 1_200)
    expect(reader.jump).to_be_visible()
    reader.page.clock.install()
    says(alice, "Below the edge")
    expect(reader.jump).to_have_text("1 new message")
    # The page waits for half a second before it tells what was seen; had it anything to tell, it
    # would do so before that Bob types.
    reader.page.clock.fast_forward(2_000)
    reader.composer.press_sequentially("Hm")
    expect(alice.typing).to_have_text("Bob is typing…")
    assert room.as_seen_by(bob)["unread"] == 1

    reader.jump.click()
    expect(reader.jump).to_have_count(0)
    reader.page.clock.fast_forward(2_000)
    wait_for(lambda: room.as_seen_by(bob)["unread"] == 0, READ_S, "it to count as read")
