"""Deletions that moto leaves out when a stack goes, so that a test can see what is left of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment
from moto.ecs.models import Cluster, Service, TaskDefinition, ecs_backends
from moto.elbv2.models import FakeListener, FakeTargetGroup, elbv2_backends

Ending = Callable[[Any, Any], object]


def _end_listener(elb: Any, listener: Any) -> None:
    """It goes with its load balancer, where that went first."""
    if listener.load_balancer_arn in elb.load_balancers:
        elb.delete_listener(listener.arn)


ENDINGS: dict[Any, tuple[Any, Ending]] = {
    # moto's loop tries again what something else still holds: the order here does not matter.
    RouteTable: (ec2_backends, lambda ec2, table: ec2.delete_route_table(table.id)),
    InternetGateway: (ec2_backends, lambda ec2, gateway: ec2.delete_internet_gateway(gateway.id)),
    VPCGatewayAttachment: (
        ec2_backends,
        lambda ec2, held: ec2.detach_internet_gateway(held.gateway_id, held.vpc_id),
    ),
    FakeListener: (elbv2_backends, _end_listener),
    FakeTargetGroup: (elbv2_backends, lambda elb, group: elb.delete_target_group(group.arn)),
    Service: (
        ecs_backends,
        lambda ecs, service: ecs.delete_service(service.cluster_name, service.name, force=True),
    ),
    TaskDefinition: (
        ecs_backends,
        lambda ecs, definition: ecs.deregister_task_definition(definition.arn),
    ),
    Cluster: (ecs_backends, lambda ecs, cluster: ecs.delete_cluster(cluster.name)),
}


def mend() -> None:
    for kind, (backends, end) in ENDINGS.items():
        kind.delete = _deletion(backends, end)


def _deletion(backends: Any, end: Ending) -> Callable[[Any, str, str], None]:
    def delete(self: Any, account_id: str, region_name: str) -> None:
        end(backends[account_id][region_name], self)

    return delete
