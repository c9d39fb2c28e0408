"""What ECS may do for this account, and what the task may: start, and nothing once it runs."""

from __future__ import annotations

import json
import time
from typing import Any

from . import cli
from .cli import AwsError
from .place import Place

KNOWN_S = 10.0


def execution_role(place: Place, secrets: list[str]) -> str:
    """The role by which ECS starts the task: its image, its log and two secrets, no more."""
    name = f"{place.demo}-execution"
    cli.say(f"To start the task, ECS takes the role {name}: image, log, its two secrets")
    arn = _role(place, name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": _statements(place, secrets)})
    start = {"RoleName": name, "PolicyName": "start", "PolicyDocument": policy}
    cli.do("iam", "put-role-policy", document=start)
    return arn


def task_role(place: Place) -> str:
    """The role of the running app. It may do nothing: the app asks nothing of AWS."""
    name = f"{place.demo}-task"
    cli.say(f"Once it runs, the task has the role {name}, which may do nothing")
    return _role(place, name)


def remove(place: Place) -> None:
    for name in (f"{place.demo}-execution", f"{place.demo}-task"):
        if not _arn(name):
            continue
        for policy in cli.ask("iam", "list-role-policies", "--role-name", name)["PolicyNames"]:
            of_role = ["--role-name", name, "--policy-name", policy]
            cli.do("iam", "delete-role-policy", *of_role)
        cli.do("iam", "delete-role", "--role-name", name)


def _role(place: Place, name: str) -> str:
    if arn := _arn(name):
        return arn
    trust = json.dumps({"Version": "2012-10-17", "Statement": [_trust(place)]})
    role = {"RoleName": name, "AssumeRolePolicyDocument": trust, "Tags": place.tags()}
    return str(cli.do("iam", "create-role", document=role)["Role"]["Arn"])


def _arn(name: str) -> str | None:
    try:
        return str(cli.ask("iam", "get-role", "--role-name", name)["Role"]["Arn"])
    except AwsError as error:
        if error.code == "NoSuchEntity":
            return None
        raise


def _trust(place: Place) -> dict[str, Any]:
    """ECS alone may take the role, and only on behalf of this account."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": place.account},
            "ArnLike": {"aws:SourceArn": place.arn("ecs", "*")},
        },
    }


def _statements(place: Place, secrets: list[str]) -> list[dict[str, Any]]:
    images = ("BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability")
    log = place.arn("logs", f"log-group:{place.demo_logs}:*")
    repository = place.arn("ecr", f"repository/{place.name}", region="*")  # wherever it was pushed
    return [
        _allow(["ecr:GetAuthorizationToken"], ["*"]),  # the action knows no narrower resource
        _allow([f"ecr:{action}" for action in images], [repository]),
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [log]),
        _allow(["secretsmanager:GetSecretValue"], secrets),
    ]


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def service_linked() -> None:
    """Make the role by which ECS acts for this account, once for all.

    ECS would make it itself with the first cluster, and then fail, as it is not known everywhere at
    once.
    """
    named = ["--aws-service-name", "ecs.amazonaws.com"]
    try:
        cli.do("iam", "create-service-linked-role", *named)
    except AwsError as error:
        if error.code not in ("InvalidInput", "EntityAlreadyExists"):
            raise
    else:
        cli.say("  It is new to this account: a few seconds until ECS may use it")
        time.sleep(KNOWN_S)
