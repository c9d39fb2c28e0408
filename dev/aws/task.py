"""The demo's task as ECS knows it: find it, wait for it, where it is reached, stop it."""

from __future__ import annotations

import time
from typing import Any

from . import cli
from .cli import AwsError, Failure
from .place import Place

START_S, POLL_S = 300.0, 2.0
Task = dict[str, Any]


def current(place: Place) -> Task | None:
    """The demo's task, running or on its way there."""
    tasks = _listed(place, "RUNNING")
    return max(tasks, key=_age) if tasks else None


def ended(place: Place) -> Task | None:
    """The task that ended last; ECS remembers it for about an hour."""
    tasks = _listed(place, "STOPPED")
    return max(tasks, key=_age) if tasks else None


def address(task: Task) -> str | None:
    """The public IP address of a task; None before its network interface has one."""
    for attachment in task.get("attachments", []):
        details = {detail["name"]: detail["value"] for detail in attachment["details"]}
        if interface := details.get("networkInterfaceId"):
            by_id = ["--network-interface-ids", interface]
            found = cli.ask("ec2", "describe-network-interfaces", *by_id)["NetworkInterfaces"]
            ip = found[0].get("Association", {}).get("PublicIp") if found else None
            return str(ip) if ip else None
    return None


def wait_until_running(place: Place, arn: str) -> Task:
    """Wait for a task to run and to have its address; raises `Failure` with ECS's reason."""
    cli.say("Waiting until it runs; a minute or so")
    deadline, status = time.monotonic() + START_S, ""
    while time.monotonic() < deadline:
        found = _described(place, [arn])
        if not found:  # ECS does not know yet what it just said
            time.sleep(POLL_S)
            continue
        task = found[0]
        if task["lastStatus"] != status:
            status = task["lastStatus"]
            cli.say(f"  {status}")
        if status == "RUNNING" and address(task):
            return task
        if task["desiredStatus"] == "STOPPED":
            raise Failure(f"the task did not stay: {reason(task)}; make logs may tell more")
        time.sleep(POLL_S)
    raise Failure(f"the task is {status} after {START_S:g} s: see make status")


def stop(place: Place) -> bool:
    """Stop whatever runs of the demo, and wait for its end; False if nothing did."""
    running = [task["taskArn"] for task in _listed(place, "RUNNING")]
    for arn in running:
        cli.say("The running demo task is stopped, and its messages go with it")
        where = ["--cluster", place.demo, "--task", arn]
        cli.do("ecs", "stop-task", *where, "--reason", "Stopped by make")
    if running:
        # Its own leave of the people takes up to a minute: see stopTimeout.
        cli.ask("ecs", "wait", "tasks-stopped", "--cluster", place.demo, "--tasks", *running)
    return bool(running)


def reason(task: Task) -> str:
    """Why a task ended: the first that a container knows, else the task's own."""
    inner = [container.get("reason") for container in task.get("containers", [])]
    codes = [
        f"exit code {container['exitCode']}"
        for container in task.get("containers", [])
        if container.get("exitCode")
    ]
    words = [task.get("stoppedReason"), *inner, *codes]
    return ", ".join(dict.fromkeys(word for word in words if word)) or "no reason given"


def _listed(place: Place, status: str) -> list[Task]:
    where = ["--cluster", place.demo, "--family", place.demo, "--desired-status", status]
    try:
        arns = cli.ask("ecs", "list-tasks", *where)["taskArns"]
    except AwsError as error:
        if error.code == "ClusterNotFoundException":
            return []
        raise
    return _described(place, arns) if arns else []


def _described(place: Place, arns: list[str]) -> list[Task]:
    where = ["--cluster", place.demo, "--tasks", *arns]
    return list(cli.ask("ecs", "describe-tasks", *where)["tasks"])


def _age(task: Task) -> str:
    return str(task.get("createdAt", ""))
