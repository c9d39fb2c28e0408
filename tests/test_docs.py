"""What is there is written down; and what is secret stays out of git and of the image."""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import fields
from functools import cache
from pathlib import Path

import pathspec
import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from chat import metrics
from chat.config import Settings
from tests import inside
from tests.servers import ROOT

SETTINGS = [field.name.upper() for field in fields(Settings)]
# Flask's own, and the one that answers whatever is asked for under /api and is not there.
UNDOCUMENTED = {"static", "api.unknown"}


@cache
def doc(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def named_by(module: str, function: str) -> list[str]:
    """The first arguments of all calls of a function, as they stand in a module."""
    tree = ast.parse((ROOT / "chat" / module).read_text(encoding="utf-8"))
    return sorted(
        {
            node.args[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == function
            and isinstance(node.args[0], ast.Constant)
        }
    )


def routes() -> list[str]:
    app = inside.make_app(inside.settings("sqlite:////tmp/nowhere.db"))
    rules = app.url_map.iter_rules()
    return sorted({rule.rule for rule in rules if rule.endpoint not in UNDOCUMENTED})


@pytest.mark.parametrize("name", [*SETTINGS, "OKTA_DOMAIN"])
def test_a_setting_is_documented(name: str) -> None:
    assert re.search(rf"`{name}`", doc("operations"))


RECEIVED, SENT = named_by("events.py", "acked"), named_by("fanout.py", "_emit")


def test_the_events_are_found() -> None:
    """Else there would be nothing to ask the documentation for."""
    assert {"send_message", "typing", "mark_read"} <= set(RECEIVED)
    assert {"receive_message", "typing", "read", "session_ended"} <= set(SENT)


@pytest.mark.parametrize("event", sorted({*RECEIVED, *SENT}))
def test_an_event_is_documented(event: str) -> None:
    assert f"`{event}`" in doc("protocol")


def test_a_route_is_documented() -> None:
    found = routes()
    assert "/api/rooms/<int:room_id>/messages" in found
    for route in found:
        parts = re.split(r"<[^>]+>", route)
        written = r"[<{][^<>{}]+[>}]".join(map(re.escape, parts))
        assert re.search(rf"{written}(?![\w/<{{-])", doc("protocol")), f"{route} is not documented"


METRICS = [
    metric.describe()[0].name + ("_total" if isinstance(metric, Counter) else "")
    for metric in vars(metrics).values()
    if isinstance(metric, MetricWrapperBase)
]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_documented(name: str) -> None:
    assert f"`{name}`" in doc("operations")


# Secrets stay out

SECRET_FILES = [
    ".okta.env",
    *["instance/chat.db", "instance/chat.db-wal", "instance/tls/localhost.key"],
    *["server.key", "deploy/server.pem", "server.crt"],
]


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize("path", SECRET_FILES)
def test_a_secret_is_ignored_by_git(path: str) -> None:
    assert git("check-ignore", "--no-index", path).returncode == 0


def test_the_code_is_not_ignored_by_git() -> None:
    """Else the test above would hold for a `.gitignore` that ignores everything."""
    for path in ("chat/config.py", "chat/tls.py", "tests/test_docs.py", "docs/protocol.md"):
        assert git("check-ignore", "--no-index", path).returncode == 1


def dockerignore() -> pathspec.GitIgnoreSpec:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    # Docker matches from the root of the context (its file reference, section .dockerignore).
    rooted = []
    for line in lines:
        negated, pattern = line.startswith("!"), line.lstrip("!").strip()
        if pattern and not pattern.startswith("#"):
            rooted.append(("!" if negated else "") + "/" + pattern.lstrip("/"))
    return pathspec.GitIgnoreSpec.from_lines(rooted)


@pytest.mark.parametrize("path", SECRET_FILES)
def test_a_secret_is_not_sent_to_the_image(path: str) -> None:
    assert dockerignore().match_file(path)


@pytest.mark.parametrize("path", ["wsgi.py", "chat/config.py", "migrations/env.py"])
def test_the_code_is_sent_to_the_image(path: str) -> None:
    assert not dockerignore().match_file(path)


def test_no_secret_is_tracked() -> None:
    tracked = [Path(line) for line in git("ls-files", "--cached").stdout.splitlines()]
    suspicious = {".key", ".pem", ".crt", ".p12", ".db"}
    assert [path for path in tracked if path.suffix in suspicious or path.name == ".okta.env"] == []
