"""CloudFormation's YAML as plain data, and as it is once its conditions are decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
NOTHING = {"Ref": "AWS::NoValue"}


class Loader(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": "x"}, `!Sub x` as {"Fn::Sub": "x"}, and so on."""


def _tag(loader: Loader, name: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


Loader.add_multi_constructor("!", _tag)


def load(path: Path) -> Json:
    return yaml.load(path.read_text(), Loader)


def decided(part: Any, conditions: dict[str, bool]) -> Any:
    """`part` with each Fn::If replaced by its branch, and without what AWS::NoValue takes away."""
    if isinstance(part, list):
        items = [decided(item, conditions) for item in part]
        return [item for item in items if item != NOTHING]
    if not isinstance(part, dict):
        return part
    if "Fn::If" in part:
        condition, yes, no = part["Fn::If"]
        return decided(yes if conditions[condition] else no, conditions)
    items = {key: decided(value, conditions) for key, value in part.items()}
    return {key: value for key, value in items.items() if value != NOTHING}


def camel(part: Any) -> Any:
    """Keys as ECS's own interface has them: `StopTimeout` → `stopTimeout`."""
    if isinstance(part, list):
        return [camel(item) for item in part]
    if not isinstance(part, dict):
        return part
    own = [key for key in part if key == "Ref" or key.startswith("Fn::")]
    return part if own else {key[0].lower() + key[1:]: camel(value) for key, value in part.items()}


def of_type(template: Json, kind: str) -> dict[str, Json]:
    """The properties of the resources of a type, by name."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == f"AWS::{kind}"
    }


def refers(value: Any, name: str) -> bool:
    """Whether a value is the resource or parameter `name`, or an attribute of it."""
    if not isinstance(value, dict):
        return False
    return value.get("Ref") == name or value.get("Fn::GetAtt", [""])[0] == name


def text_of(value: Any) -> str:
    """What a text looks like, with `${Name}` for what is filled in."""
    if isinstance(value, dict):
        if "Ref" in value:
            return f"${{{value['Ref']}}}"
        if "Fn::GetAtt" in value:
            return f"${{{'.'.join(value['Fn::GetAtt'])}}}"
        sub = value["Fn::Sub"]
        return sub if isinstance(sub, str) else sub[0]
    return str(value)


def strings(part: Any) -> Iterator[str]:
    """Every text in a part of a template."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from strings(item)
    if isinstance(part, str):
        yield part
