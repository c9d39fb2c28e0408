"""`make status`: what runs, in what state, and why."""

from __future__ import annotations

from typing import Any

from . import cli, service, stack, task
from .place import Place

EVENTS = 5


def show(place: Place) -> None:
    """Say what there is of the demo and of production."""
    show_demo(place)
    show_production(place)


def show_demo(place: Place) -> None:
    found = task.current(place)
    if not found:
        row("Demo", "no task runs")
        if last := task.ended(place):
            row("  the last one", task.reason(last))
        return
    row("Demo", f"{found['lastStatus']}, health {found.get('healthStatus', 'UNKNOWN')}")
    row("  address", task.address(found) or "none yet")
    row("  image", image_of(found["taskDefinitionArn"]))


def show_production(place: Place) -> None:
    found = stack.find(place)
    if not found:
        row("Production", "there is no stack")
        return
    row("Production", f"stack {found.status} {found.reason}".rstrip())
    for line in stack.failures(place) if found.failed else []:
        row("  failed", line)
    if running := service.find(place):
        show_service(running)


def show_service(of: dict[str, Any]) -> None:
    row("  tasks", f"{of['runningCount']} of {of['desiredCount']} run")
    for deployment in of.get("deployments", []):
        rollout = f"{deployment['status']} {deployment.get('rolloutState', '')}".rstrip()
        row("  deployment", f"{rollout}, {deployment['runningCount']} run")
        if reason := deployment.get("rolloutStateReason"):
            row("", reason)
    row("  image", image_of(of["taskDefinition"]))
    for event in of.get("events", [])[:EVENTS]:
        row("  event", f"{event['createdAt']} {event['message']}")


def image_of(definition: str) -> str:
    """The image of the app in a task definition."""
    named = ["--task-definition", definition]
    found = cli.ask("ecs", "describe-task-definition", *named)["taskDefinition"]
    images = {each["name"]: each["image"] for each in found["containerDefinitions"]}
    return str(images.get("chat", images))


def row(what: str, value: str) -> None:
    cli.say(f"{what:<16} {value}")
