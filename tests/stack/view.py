"""Ways to look at a stack whose conditions are decided."""

from __future__ import annotations

from typing import Any

from tests.stack import task_rules
from tests.stack.template import camel, refers

Json = dict[str, Any]


def properties(stack: Json, name: str) -> Json:
    return stack["Resources"][name].get("Properties", {})


def attributes(part: Json, name: str) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in part.get(name, [])}


def task(stack: Json) -> Json:
    return camel(stack["Resources"]["TaskDefinition"]["Properties"])


def containers(stack: Json) -> list[Json]:
    return task(stack)["containerDefinitions"]


def chat(stack: Json) -> Json:
    """The environment that the app is given."""
    return task_rules.environment(task_rules.app(task(stack)))


def from_group(stack: Json, group: str, source: str) -> set[int]:
    """The ports that a security group takes from another."""
    rules = properties(stack, group).get("SecurityGroupIngress", [])
    return {
        rule["FromPort"]
        for rule in rules
        if refers(rule.get("SourceSecurityGroupId"), source) and rule["FromPort"] == rule["ToPort"]
    }


def out_of(stack: Json, group: str) -> set[int]:
    rules = properties(stack, group).get("SecurityGroupEgress", [])
    return {rule["FromPort"] for rule in rules if rule.get("FromPort") == rule.get("ToPort", "")}
