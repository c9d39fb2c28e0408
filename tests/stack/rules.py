"""What must hold between the parts of `deploy/stack.yaml`: names, ports, times, who may reach whom.

CloudFormation takes most of these faults, and so do cfn-lint and checkov. Each rule yields what is
wrong, in a line; all are asked with nginx and without.
"""

from __future__ import annotations

from typing import Any

from tests.stack import access, backing, task_rules, traffic
from tests.stack.template import decided
from tests.stack.view import task

Json = dict[str, Any]
ALL = (*traffic.RULES, *backing.RULES, *access.RULES)


def problems(template: Json) -> list[str]:
    """What is wrong with the stack, with nginx and without, each fault once."""
    names = template.get("Conditions", {})
    found: list[str] = []
    for nginx in (False, True):
        conditions = dict.fromkeys(names, True) | {"HasNginx": nginx, "IsStopped": False}
        stack = {"Resources": decided(template["Resources"], conditions)}
        found += [f"task definition: {line}" for line in task_rules.problems(task(stack))]
        found += [line for rule in ALL for line in rule(stack)]
    return list(dict.fromkeys(found))
