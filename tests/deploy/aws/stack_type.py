"""What a CloudFormation type is to moto, so that one can be added in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]


class StackType(CloudFormationModel):
    """A resource of a stack. Subclasses say how it is made, changed and removed in `backends`."""

    type_name = ""
    name_property = ""
    backends: Any = None
    attributes: ClassVar[dict[str, Callable[[StackType], str]]] = {}

    def __init__(self, backend: Any, name: str, properties: Properties) -> None:
        self.backend, self.name, self.properties = backend, name, properties
        self.id = self.make()

    def make(self) -> str:
        """Make it; returns its physical id."""
        raise NotImplementedError

    def change(self) -> None:
        """Bring what was made in line with `properties`; without a say of its own, made again."""
        self.make()

    def remove(self) -> None:
        raise NotImplementedError

    # What moto asks of a type

    @property
    def physical_resource_id(self) -> str:
        return self.id

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.type_name

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.attributes

    def get_cfn_attribute(self, attribute: str) -> str:
        return self.attributes[attribute](self)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> StackType:
        backend = cls.backends[account_id][region_name]
        return cls(backend, resource_name, cloudformation_json["Properties"])

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: StackType, cloudformation_json: Properties, **_: Any
    ) -> StackType:
        if original_resource.properties != cloudformation_json["Properties"]:
            original_resource.properties = cloudformation_json["Properties"]
            original_resource.change()
        return original_resource

    def delete(self, account_id: str, region_name: str) -> None:
        self.remove()

    def is_created(self) -> bool:
        return True


def register(module: ModuleType) -> None:
    """Make a module's types known to moto, which else asks for its model's direct subclasses."""
    kinds = [kind for kind in StackType.__subclasses__() if kind.__module__ == module.__name__]
    parsing.get_model_map().update({kind.type_name: kind for kind in kinds})
    parsing.get_name_type_map().update({kind.type_name: kind.name_property for kind in kinds})
