"""The stack of production, as CloudFormation knows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import cli
from .cli import AwsError
from .place import DEPLOY, Place

DEFAULT = re.compile(r"^    Default: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """What is deployed, by the names that `deploy/stack.yaml` gives."""

    id: str
    status: str
    reason: str
    parameters: dict[str, str]
    outputs: dict[str, str]

    @property
    def failed(self) -> bool:
        """Whether the last change was not made, or not wholly."""
        return "ROLLBACK" in self.status or "FAILED" in self.status


def find(place: Place) -> Stack | None:
    """The stack; None where there is none, or only what a first `make deploy` was to become."""
    try:
        found = cli.ask("cloudformation", "describe-stacks", "--stack-name", place.name)["Stacks"]
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return _read(found[0]) if found and found[0]["StackStatus"] != "REVIEW_IN_PROGRESS" else None


def template_parameters() -> dict[str, str]:
    """The parameters that the template has, with their defaults; empty where there is none."""
    text = (DEPLOY / "stack.yaml").read_text(encoding="utf-8")
    section = re.split(r"^(?=\w)", text.partition("\nParameters:\n")[2], flags=re.MULTILINE)[0]
    parts = re.split(r"^  (\w+):\n", section, flags=re.MULTILINE)
    found = zip(parts[1::2], map(DEFAULT.search, parts[2::2]), strict=True)
    return {name: default[1].strip('"') if default else "" for name, default in found}


def failures(place: Place) -> list[str]:
    """Why the latest change failed: the parts that did, the first one first."""
    events = cli.ask("cloudformation", "describe-stack-events", "--stack-name", place.name)
    lines = []
    for event in events["StackEvents"]:
        why = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in why:
            lines.append(f"{event['LogicalResourceId']}: {why}")
        if event["LogicalResourceId"] == place.name and why == "User Initiated":
            break  # where this change began
    return lines[::-1]


def resources(place: Place, kind: str) -> list[str]:
    """The ids of the stack's resources of one type, also while it is being made."""
    try:
        answer = cli.ask("cloudformation", "list-stack-resources", "--stack-name", place.name)
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in str(error):
            return []
        raise
    return [
        str(resource["PhysicalResourceId"])
        for resource in answer["StackResourceSummaries"]
        if resource["ResourceType"] == kind and resource.get("PhysicalResourceId")
    ]


def _read(found: dict[str, Any]) -> Stack:
    return Stack(
        id=found["StackId"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        parameters={p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])},
    )
