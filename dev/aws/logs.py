"""`make logs`: what the demo and production say, as they say it.

`aws logs tail` would do it, if version 1 had it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from . import cli, stack
from .cli import Failure
from .place import Place, setting

POLL_S = 2.0
# Lines reach the log a little late, and not in the order of their times.
LATE_MS = 10_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Event = dict[str, Any]


def follow(place: Place) -> None:
    """Print the log from SINCE on, until Ctrl-C; raises `Failure`."""
    since = int((time.time() - seconds(setting("SINCE") or "10m")) * 1000)
    groups = [
        name
        for name in [place.demo_logs, *stack.resources(place, "AWS::Logs::LogGroup")]
        if exists(name)
    ]
    if not groups:
        raise Failure("nothing has logged here yet: make run-task or make deploy starts it")
    cli.say(f"The log of {', '.join(groups)}; Ctrl-C ends it (SINCE=2h: from further back)")
    readers = [Reader(name, since) for name in groups]
    try:
        while True:
            fresh = [event for reader in readers for event in reader.fresh()]
            for event in sorted(fresh, key=lambda event: int(event["timestamp"])):
                cli.say(line(event))
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        cli.say("")


class Reader:
    """Reads a log group on and on, each event once."""

    def __init__(self, group: str, since: int) -> None:
        self.group, self.since = group, since
        self.seen: dict[str, int] = {}

    def fresh(self) -> Iterator[Event]:
        """The events that have come since it was last asked."""
        since = ["--start-time", str(self.since)]
        found = cli.ask("logs", "filter-log-events", "--log-group-name", self.group, *since)
        for event in found["events"]:
            if event["eventId"] not in self.seen:
                self.seen[event["eventId"]] = int(event["timestamp"])
                yield event
        self.since = max([self.since, *(time - LATE_MS for time in self.seen.values())])
        self.seen = {id: time for id, time in self.seen.items() if time >= self.since}


def exists(group: str) -> bool:
    named = ["--log-group-name-prefix", group]
    found = cli.ask("logs", "describe-log-groups", *named)["logGroups"]
    return group in {each["logGroupName"] for each in found}


def line(event: Event) -> str:
    when = datetime.fromtimestamp(int(event["timestamp"]) / 1000, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S} {event['message'].rstrip()}"


def seconds(text: str) -> int:
    """A span such as `90s`, `10m`, `2h` or `1d`."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise Failure(f"SINCE={text!r} must be like 90s, 10m, 2h or 1d")
    return int(found[1]) * UNITS[found[2]]
