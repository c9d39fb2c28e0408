"""The stack's service, as ECS knows it: its tasks start, stop and are replaced without a change."""

from __future__ import annotations

from typing import Any

from . import cli, stack
from .place import Place


def find(place: Place) -> dict[str, Any] | None:
    """The service; None where there is none (yet)."""
    found = stack.resources(place, "AWS::ECS::Service")
    if not found:
        return None
    named = ["--cluster", found[0].split("/")[-2], "--services", found[0]]
    services = cli.ask("ecs", "describe-services", *named)["services"]
    return dict(services[0]) if services else None


def start(place: Place, tasks: int, *, before: str | None) -> None:
    """Start what `stop` stopped; replace the tasks where the stack's update has not.

    `before` is what ran before it: a revision of the task definition.
    """
    service = find(place)
    if not service or not tasks:
        return
    if service["desiredCount"] == 0:
        cli.say("The service was stopped: it starts again")
        _update(service, "--desired-count", str(tasks))
    elif service["taskDefinition"] == before:
        cli.say("No task has changed: they are replaced, and read the secrets anew")
        _update(service, "--force-new-deployment")


def stop(place: Place) -> bool:
    """Stop the service's tasks; False if there is no service."""
    service = find(place)
    if service:
        cli.say("The service's tasks are stopped. The load balancer, the database and the cache")
        cli.say("go on, and cost; make deploy starts the tasks again.")
        _update(service, "--desired-count", "0")
    return bool(service)


def _update(service: dict[str, Any], *change: str) -> None:
    where = ["--cluster", service["clusterArn"], "--service", service["serviceName"]]
    cli.do("ecs", "update-service", *where, *change)
