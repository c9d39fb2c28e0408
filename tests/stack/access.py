"""Ways in and out, and what starts a task: without them it never runs; with more, others get in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.stack import task_rules
from tests.stack.backing import allowed
from tests.stack.template import of_type, refers, text_of
from tests.stack.view import containers, out_of, properties, task

Json = dict[str, Any]

ANYWHERE = "0.0.0.0/0"
PULLS = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
HEALTH = ["CMD", "python", "-m", "chat.healthcheck"]
NEEDED = {
    "OKTA_OAUTH2_ISSUER": "OKTA_OAUTH2_ISSUER",
    "OKTA_OAUTH2_CLIENT_ID": "OKTA_OAUTH2_CLIENT_ID",
    "OKTA_OAUTH2_CLIENT_SECRET": "OKTA_OAUTH2_CLIENT_SECRET",
    "SECRET_KEY": "SECRET_KEY",
    "PGPASSWORD": "password",
}


def _ways_out(stack: Json) -> Iterator[str]:
    if 443 not in out_of(stack, "TaskSecurityGroup"):
        yield "ways out: tasks may reach neither their image nor Okta"
    route = properties(stack, "InternetRoute")
    if route.get("DestinationCidrBlock") != ANYWHERE or not refers(
        route.get("GatewayId"), "InternetGateway"
    ):
        yield "ways out: InternetRoute does not lead to the internet"
    if properties(stack, "LoadBalancer").get("Scheme") != "internet-facing":
        yield "ways in: the load balancer is not on the internet"


def _ways_in(stack: Json) -> Iterator[str]:
    for name, group in of_type(stack, "EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupIngress", []):
            if rule["FromPort"] != rule["ToPort"]:
                yield f"ways in: {name} opens a range of ports"
            if "CidrIp" in rule and name != "AlbSecurityGroup":
                yield f"ways in: {name} lets in addresses, not a security group"
    for name in of_type(stack, "EC2::SecurityGroupIngress"):
        yield f"ways in: {name} stands apart from its security group"


def _start(stack: Json) -> Iterator[str]:
    """What ECS needs to start a task, and for whom."""
    role = properties(stack, "ExecutionRole")
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    if statement["Principal"] != {"Service": "ecs-tasks.amazonaws.com"}:
        yield "execution role: tasks may not take it"
    for action in ("GetAuthorizationToken", *PULLS):
        if not allowed(role, f"ecr:{action}"):
            yield f"execution role: it may not ecr:{action}"
    if allowed(role, "*"):
        yield "execution role: it may do everything"


def _app(stack: Json) -> Iterator[str]:
    app = task_rules.app(task(stack))
    given = {each["name"]: text_of(each["valueFrom"]) for each in app.get("secrets", [])}
    for name, key in NEEDED.items():
        if not given.get(name, "").endswith(f":{key}::"):
            yield f"the app is not given {name}"
    if app.get("healthCheck", {}).get("command") != HEALTH:
        yield "the app's health is asked in another way than in the demo"
    for container in containers(stack):
        if container.get("essential") is not True:
            yield f"{container['name']} may end, and its task goes on"


RULES = (_ways_out, _ways_in, _start, _app)
