"""CloudFormation's own part: its language, and what an update or a deletion touches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet
from moto.cloudformation.parsing import ResourceMap

Json = dict[str, Any]


def mend() -> None:
    _clean_as_aws()
    _keep_what_is_retained()
    _remember_parameters_of(ChangeSet)
    ResourceMap.build_resource_diff = _difference


def _clean_as_aws() -> None:
    """moto leaves a hole where a list has AWS::NoValue, and knows no attribute with two dots."""
    clean = parsing.clean_json

    def cleaned(json_: Any, resources: ResourceMap) -> Any:
        if isinstance(json_, dict) and isinstance(json_.get("Fn::GetAtt"), list):
            resource, *attribute = json_["Fn::GetAtt"]
            json_ = {"Fn::GetAtt": [resource, ".".join(attribute)]}
        result = clean(json_, resources)
        return [x for x in result if x is not None] if isinstance(result, list) else result

    parsing.clean_json = cleaned


def _keep_what_is_retained() -> None:
    delete = ResourceMap.delete

    def deleted(self: ResourceMap) -> None:
        for body in self._resource_json_map.values():
            if body.get("DeletionPolicy") == "RetainExceptOnCreate":
                body["DeletionPolicy"] = "Retain"
        delete(self)

    ResourceMap.delete = deleted


def _difference(
    self: ResourceMap, other_template: Json, parameters: Json | None = None
) -> dict[str, list[str]]:
    """As moto's, and with every resource that refers to one that changes.

    moto follows neither conditions nor resources: after a new image it would leave the service with
    the old task definition.
    """
    old, new = self._resource_json_map, other_template["Resources"]
    touched = {p for p in parameters or {} if self.input_parameters.get(p) != parameters[p]}
    touched |= {name for name in new if name in old and new[name] != old[name]}
    conditions = other_template.get("Conditions", {})
    while True:
        more = {
            name
            for name, body in (conditions | new).items()
            if name not in touched and touched & set(_names_in(body))
        }
        if not more:
            break
        touched |= more
    modify = [name for name in new if name in old and name in touched]
    return {
        # Also what a condition kept away so far, and may now let in.
        "Add": [name for name in new if name not in self._parsed_resources],
        "Modify": [name for name in modify if _can_change(self, name)],
        "Remove": [name for name in old if name not in new],
    }


def _can_change(resources: ResourceMap, name: str) -> bool:
    """moto would put nothing in the place of a resource that knows no update."""
    kind = type(resources._parsed_resources.get(name))
    update = getattr(kind, "update_from_cloudformation_json", None)
    return update is not None and not hasattr(update, "__isabstractmethod__")


def _names_in(body: Any) -> Iterator[str]:
    """Whatever a part of a template refers to: parameters, conditions, resources."""
    if isinstance(body, list):
        for item in body:
            yield from _names_in(item)
    if not isinstance(body, dict):
        return
    for key, value in body.items():
        if key in ("Ref", "Condition") and isinstance(value, str):
            yield value
        elif key == "Fn::GetAtt":
            yield value[0] if isinstance(value, list) else value.partition(".")[0]
        elif key == "Fn::If":
            yield value[0]
            yield from _names_in(value[1:])
        elif key == "Fn::Sub":
            text = value if isinstance(value, str) else value[0]
            yield from (name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text))
            yield from _names_in([] if isinstance(value, str) else value[1])
        else:
            yield from _names_in(value)


def _remember_parameters_of(kind: Any) -> None:
    """A stack shows the outputs of its last change set, and the next takes over its parameters."""
    apply = kind.apply

    def applied(self: ChangeSet) -> None:
        apply(self)
        self.stack.template, self.stack.parameters = self.template, self.parameters
        self.stack._parse_template()
        self.stack.output_map = self.stack._create_output_map()

    kind.apply = applied
