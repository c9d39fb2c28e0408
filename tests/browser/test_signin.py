"""Signing in and out in a real browser, and that the watch over browsers is awake."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.people import EnterBrowser
from tests.provider import Provider

CUT_MS = 2_000


def test_alice_signs_in_and_out(browser_person: EnterBrowser, provider: Provider) -> None:
    alice = browser_person("alice")
    expect(alice.page.locator(".who")).to_contain_text("Alice")
    alice.page.get_by_role("button", name="Sign out").click()
    alice.page.wait_for_url(f"{alice.app.url}/**")
    expect(alice.page.get_by_role("link", name="Sign in").first).to_be_visible()
    assert provider.signed_out == ["alice"]
    assert provider.refusals == []


def test_signing_out_in_one_tab_ends_the_other(browser_person: EnterBrowser) -> None:
    alice = browser_person("alice")
    other = alice.new_tab()
    composer = other.get_by_role("textbox")
    expect(composer).to_be_editable()
    alice.page.get_by_role("button", name="Sign out").click()
    expect(composer).not_to_be_editable(timeout=CUT_MS)


def test_another_name_for_this_host_leads_to_the_right_one(browser_person: EnterBrowser) -> None:
    """The state of a sign-in is a cookie of one host: begun at 127.0.0.1 it would be lost."""
    alice = browser_person("alice", sign_in=False)
    alice.watch.hosts.add(f"127.0.0.1:{alice.app.port}")
    alice.page.goto(f"{alice.app.address}/chat/lobby")
    alice.page.locator("button[value='alice']").click()
    alice.page.wait_for_url(f"{alice.app.url}/chat/lobby")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("fetch('https://evil.example/').catch(() => 0)", "CSP violation: connect-src"),
        ("new WebSocket('wss://evil.example/')", "CSP violation: connect-src"),
        ("document.body.setAttribute('style', 'color: red')", "CSP violation: style-src"),
        ("location.href = 'http://127.0.0.1:9/'", "request to another host"),
        ("console.error('an error')", "console: an error"),
        ("setTimeout(() => { throw new Error('thrown') })", "page error: thrown"),
        ("fetch('/no/such/page')", "404"),
    ],
)
def test_the_watch_sees(browser_person: EnterBrowser, script: str, problem: str) -> None:
    alice = browser_person("alice", sign_in=False)
    alice.page.goto(alice.app.url)
    assert alice.watch.seen == []
    alice.page.evaluate(f"() => {{ {script} }}")
    for _ in range(100):
        if any(problem in seen for seen in alice.watch.seen):
            break
        alice.page.wait_for_timeout(20)
    assert any(problem in seen for seen in alice.watch.seen), alice.watch.seen
    alice.watch.allow(".*")
