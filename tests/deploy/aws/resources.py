"""What stacks make of types that moto has, but makes with less than the template says."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.core.utils import camelcase_to_underscores, pascal_to_camelcase, remap_nested_keys
from moto.ecs.models import Service, TaskDefinition, ecs_backends
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup, elbv2_backends
from moto.rds.models import DBInstance
from moto.secretsmanager.models import secretsmanager_backends

Json = dict[str, Any]

ZONE_OF_LOAD_BALANCERS = "Z35SXDOTRQ7X7K"  # us-east-1's
DYNAMIC_REFERENCE = re.compile(r"\{\{resolve:secretsmanager:(.+):SecretString:(\w+)\}\}")


def mend() -> None:
    TaskDefinition.create_from_cloudformation_json = classmethod(_task_definition)
    TaskDefinition.update_from_cloudformation_json = classmethod(_next_task_definition)
    Service.create_from_cloudformation_json = classmethod(_service)
    Service.update_from_cloudformation_json = classmethod(_next_service)
    FakeLoadBalancer.get_cfn_attribute = _attribute_of_load_balancer
    _then(FakeLoadBalancer, _set_load_balancer_attributes)
    _then(FakeTargetGroup, _set_target_group_attributes)
    _resolve_references_of(DBInstance)


# ECS


def _camel(properties: Any) -> Any:
    return remap_nested_keys(properties, pascal_to_camelcase)


def _task_definition(
    cls: type,
    resource_name: str,
    cloudformation_json: Json,
    account_id: str,
    region_name: str,
    **_: Any,
) -> TaskDefinition:
    """moto's own leaves out all but the containers, the volumes and the memory."""
    of = cloudformation_json["Properties"]
    given = {camelcase_to_underscores(key): value for key, value in _camel(of).items()}
    return ecs_backends[account_id][region_name].register_task_definition(**given)


def _next_task_definition(
    cls: type,
    original_resource: TaskDefinition,
    new_resource_name: str,
    cloudformation_json: Json,
    account_id: str,
    region_name: str,
) -> TaskDefinition:
    """A change makes a new revision, and takes the old one out of use, as at AWS."""
    new = _task_definition(cls, new_resource_name, cloudformation_json, account_id, region_name)
    ecs_backends[account_id][region_name].deregister_task_definition(original_resource.arn)
    return new


def _service(
    cls: type,
    resource_name: str,
    cloudformation_json: Json,
    account_id: str,
    region_name: str,
    **_: Any,
) -> Service:
    """moto's own leaves out the load balancer and the network, and never runs a task."""
    of = cloudformation_json["Properties"]
    service = ecs_backends[account_id][region_name].create_service(
        of["Cluster"],
        resource_name,
        int(of.get("DesiredCount", 1)),
        task_definition_str=of["TaskDefinition"],
        load_balancers=_camel(of.get("LoadBalancers", [])),
        launch_type=of.get("LaunchType"),
        platform_version=of.get("PlatformVersion"),
        network_configuration=_camel(of["NetworkConfiguration"]),
    )
    service.running_count, service.pending_count = service.desired_count, 0
    return service


def _next_service(
    cls: type,
    original_resource: Service,
    new_resource_name: str,
    cloudformation_json: Json,
    account_id: str,
    region_name: str,
) -> Service:
    of = cloudformation_json["Properties"]
    service = ecs_backends[account_id][region_name].update_service(
        {
            "cluster": of["Cluster"],
            "service": original_resource.name,
            "task_definition": of["TaskDefinition"],
            "desired_count": of.get("DesiredCount"),
            "load_balancers": _camel(of.get("LoadBalancers", [])),
        }
    )
    for deployment in service.deployments:
        deployment["taskDefinition"] = service.task_definition
    return service


# Load balancers


def _attribute_of_load_balancer(self: FakeLoadBalancer, name: str) -> Any:
    return {
        "CanonicalHostedZoneID": ZONE_OF_LOAD_BALANCERS,
        "DNSName": self.dns_name,
        "LoadBalancerArn": self.arn,
        "LoadBalancerFullName": self.arn.partition(":loadbalancer/")[2],
        "LoadBalancerName": self.name,
    }[name]


def _set_load_balancer_attributes(balancer: FakeLoadBalancer, of: Json, backend: Any) -> None:
    backend.modify_load_balancer_attributes(balancer.arn, _pairs(of, "LoadBalancerAttributes"))


def _set_target_group_attributes(group: FakeTargetGroup, of: Json, backend: Any) -> None:
    group.get_cfn_attribute = {
        "TargetGroupFullName": group.arn.rpartition(":")[2],
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
    }.__getitem__
    backend.modify_target_group_attributes(group.arn, _pairs(of, "TargetGroupAttributes"))


def _pairs(of: Json, name: str) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in of.get(name, [])}


def _then(kind: Any, act: Any) -> None:
    """Let a stack's resource of this kind be made as before, and then `act` on it."""
    make = kind.create_from_cloudformation_json

    def made(
        cls: type,
        resource_name: str,
        cloudformation_json: Json,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> Any:
        thing = make(resource_name, cloudformation_json, account_id, region_name, **kwargs)
        act(thing, cloudformation_json["Properties"], elbv2_backends[account_id][region_name])
        return thing

    kind.create_from_cloudformation_json = classmethod(made)


# RDS


def _resolve_references_of(kind: Any) -> None:
    make = kind.create_from_cloudformation_json

    def made(
        cls: type,
        resource_name: str,
        cloudformation_json: Json,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> Any:
        vault = secretsmanager_backends[account_id][region_name]

        def value(match: re.Match[str]) -> str:
            secret = vault.get_secret_value(match[1], None, None)
            return json.loads(secret["SecretString"])[match[2]]

        of = cloudformation_json["Properties"]
        of["MasterUserPassword"] = DYNAMIC_REFERENCE.sub(value, of["MasterUserPassword"])
        return make(resource_name, cloudformation_json, account_id, region_name, **kwargs)

    kind.create_from_cloudformation_json = classmethod(made)
