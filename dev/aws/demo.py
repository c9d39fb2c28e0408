"""`make run-task`: the demo, one task on Fargate with an address of its own."""

from __future__ import annotations

import json
import time
from string import Template
from typing import Any

from . import cli, network, place, roles, secrets, task, urls
from .cli import AwsError, Failure
from .place import DEPLOY, Place

LOG_DAYS = "14"
# A role that was made just now is not known everywhere yet.
ROLE_S, POLL_S = 60.0, 3.0


def run(where: Place) -> None:
    """Make what the demo lacks, and put a new task in the place of a running one."""
    image, architecture = place.image(), place.architecture()
    okta, app = secrets.required(where.okta_secret), secrets.required(where.app_secret)
    vpc, subnets = network.default_subnets()
    cluster(where)
    log_group(where)
    values = {
        "NAME": where.demo,
        "IMAGE": image,
        "REGION": where.region,
        "ARCHITECTURE": architecture,
        "EXECUTION_ROLE_ARN": roles.execution_role(where, [okta, app]),
        "TASK_ROLE_ARN": roles.task_role(where),
        "OKTA_SECRET_ARN": okta,
        "APP_SECRET_ARN": app,
        "LOG_GROUP": where.demo_logs,
    }
    definition = register(where, values)
    group = network.security_group(where, vpc)
    task.stop(where)
    cli.say(f"The demo task starts, with a public address: {image}")
    started = start(where, definition, subnets, group)
    task.wait_until_running(where, started)
    urls.show(where)


def cluster(where: Place) -> None:
    roles.service_linked()
    cli.say(f"The task belongs to the cluster {where.demo}")
    made = {"clusterName": where.demo, "tags": where.tags("key", "value")}
    cli.do("ecs", "create-cluster", document=made)


def log_group(where: Place) -> None:
    cli.say(f"It logs to {where.demo_logs}, where lines are kept for {LOG_DAYS} days")
    name = where.demo_logs
    found = cli.ask("logs", "describe-log-groups", "--log-group-name-prefix", name)["logGroups"]
    if name not in {group["logGroupName"] for group in found}:
        group = {"logGroupName": name, "tags": {"app": where.name}}
        cli.do("logs", "create-log-group", document=group)
    kept = ["--log-group-name", name, "--retention-in-days", LOG_DAYS]
    cli.do("logs", "put-retention-policy", *kept)


def register(where: Place, values: dict[str, str]) -> str:
    """Register a revision of the task definition; returns its ARN."""
    cli.say("What runs is in deploy/task-definition.json")
    text = (DEPLOY / "task-definition.json").read_text(encoding="utf-8")
    definition: dict[str, Any] = json.loads(Template(text).substitute(values))
    definition["tags"] = where.tags("key", "value")
    definition["containerDefinitions"][0]["environment"] += chosen()
    answer = cli.do("ecs", "register-task-definition", document=definition)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def chosen() -> list[dict[str, str]]:
    """The settings of the app that are not Okta's values, and yet say who may sign in."""
    names = ("ALLOWED_GROUPS", "OKTA_OAUTH2_SCOPES")
    return [{"name": name, "value": value} for name in names if (value := place.setting(name))]


def start(where: Place, definition: str, subnets: list[str], group: str) -> str:
    """Start the task; returns its ARN."""
    request = {
        "cluster": where.demo,
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": subnets,
                "securityGroups": [group],
                "assignPublicIp": "ENABLED",
            }
        },
        "propagateTags": "TASK_DEFINITION",
    }
    deadline = time.monotonic() + ROLE_S
    while True:
        try:
            answer = cli.do("ecs", "run-task", document=request)
        except AwsError as error:
            if "assume" not in str(error) or time.monotonic() > deadline:
                raise
            cli.say("  The role is not known everywhere yet; once more in a few seconds")
            time.sleep(POLL_S)
            continue
        if not answer["tasks"]:
            reasons = [failure.get("reason", "") for failure in answer.get("failures", [])]
            raise Failure(f"ECS did not start the task: {', '.join(reasons)}")
        return str(answer["tasks"][0]["taskArn"])
