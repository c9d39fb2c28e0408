"""How people reach the app: load balancer, listeners, target group, service, network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.stack import task_rules
from tests.stack.template import of_type, refers
from tests.stack.view import attributes, chat, containers, from_group, out_of, properties

Json = dict[str, Any]

PING_S = 20  # the server's ping; a test holds it to the app's
# Of elasticloadbalancing's API reference: LoadBalancerAttribute and TargetGroupAttribute, for ALBs.
LOAD_BALANCER_ATTRIBUTES = {
    "access_logs.s3.bucket",
    "access_logs.s3.enabled",
    "access_logs.s3.prefix",
    "client_keep_alive.seconds",
    "connection_logs.s3.bucket",
    "connection_logs.s3.enabled",
    "connection_logs.s3.prefix",
    "deletion_protection.enabled",
    "idle_timeout.timeout_seconds",
    "ipv6.deny_all_igw_traffic",
    "load_balancing.cross_zone.enabled",
    "routing.http.desync_mitigation_mode",
    "routing.http.drop_invalid_header_fields.enabled",
    "routing.http.preserve_host_header.enabled",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    "routing.http.xff_client_port.enabled",
    "routing.http.xff_header_processing.mode",
    "routing.http2.enabled",
    "waf.fail_open.enabled",
    "zonal_shift.config.enabled",
}
TARGET_GROUP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds",
    "load_balancing.algorithm.anomaly_mitigation",
    "load_balancing.algorithm.type",
    "load_balancing.cross_zone.enabled",
    "slow_start.duration_seconds",
    "stickiness.app_cookie.cookie_name",
    "stickiness.app_cookie.duration_seconds",
    "stickiness.enabled",
    "stickiness.lb_cookie.duration_seconds",
    "stickiness.type",
    "target_group_health.dns_failover.minimum_healthy_targets.count",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
}
GOOD_TLS = re.compile(r"ELBSecurityPolicy-TLS13-1-[23](-Res)?(-PQ)?-\d{4}-\d{2}")
LISTENER = "ElasticLoadBalancingV2::Listener"


def _service(stack: Json) -> Iterator[str]:
    service = properties(stack, "Service")
    if service.get("PlatformVersion") != "LATEST":
        yield "service: PlatformVersion is not LATEST"
    if "DesiredCount" in service:
        yield "service: DesiredCount would undo autoscaling at each deployment"
    deployment = service.get("DeploymentConfiguration", {})
    if deployment.get("DeploymentCircuitBreaker") != {"Enable": True, "Rollback": True}:
        yield "service: a failed deployment is not rolled back"
    if (deployment.get("MinimumHealthyPercent"), deployment.get("MaximumPercent")) != (100, 200):
        yield "service: a deployment takes tasks away before it brings new ones"
    start = max(each.get("healthCheck", {}).get("startPeriod", 0) for each in containers(stack))
    if service.get("HealthCheckGracePeriodSeconds", 0) < start:
        yield "service: the load balancer's check begins before a task must be up"
    if not {"HttpsListener", "InternetRoute"} <= set(stack["Resources"]["Service"]["DependsOn"]):
        yield "service: starts before its listener or its way out is there"


def _target(stack: Json) -> Iterator[str]:
    """From the service to its target group, container and port."""
    target = properties(stack, "Service")["LoadBalancers"][0]
    by_name = {each["name"]: each for each in containers(stack)}
    container = by_name.get(target["ContainerName"])
    if container is None:
        yield f"service: no container {target['ContainerName']}"
    elif target["ContainerPort"] not in task_rules.ports(container):
        yield f"service: {target['ContainerName']} has no port {target['ContainerPort']}"
    if "nginx" in by_name and target["ContainerName"] != "nginx":
        yield "service: nginx is passed by"
    if not refers(target["TargetGroupArn"], "TargetGroup"):
        yield "service: its target group is another"
    for port in {target["ContainerPort"], 8443, 9443}:
        if port not in from_group(stack, "TaskSecurityGroup", "AlbSecurityGroup"):
            yield f"security groups: tasks don't take port {port} from the load balancer"
        if port not in out_of(stack, "AlbSecurityGroup"):
            yield f"security groups: the load balancer may not reach port {port}"
    proxies = 2 if "nginx" in by_name else 1
    if chat(stack).get("TRUSTED_PROXIES") != str(proxies):
        yield f"task definition: TRUSTED_PROXIES is not {proxies}"


def _target_group(stack: Json) -> Iterator[str]:
    group = properties(stack, "TargetGroup")
    if group.get("TargetType") != "ip":
        yield "target group: tasks on Fargate are targets by ip"
    if (group.get("Protocol"), group.get("HealthCheckProtocol")) != ("HTTPS", "HTTPS"):
        yield "target group: the app speaks TLS"
    if group.get("ProtocolVersion", "HTTP1") != "HTTP1":
        yield "target group: a WebSocket needs HTTP/1.1"
    port = int(chat(stack).get("PORT", "8443"))
    if group.get("Port") != port:
        yield f"target group: port {group.get('Port')} is not the app's {port}"
    if group.get("HealthCheckPath") != "/healthz":
        yield "target group: with the store away, ECS would replace every task"
    if group["HealthCheckTimeoutSeconds"] >= group["HealthCheckIntervalSeconds"]:
        yield "target group: health timeout is not under the interval"
    given = attributes(group, "TargetGroupAttributes")
    for key in given.keys() - TARGET_GROUP_ATTRIBUTES:
        yield f"target group: there is no attribute {key}"
    if (given.get("stickiness.enabled"), given.get("stickiness.type")) != ("true", "lb_cookie"):
        yield "target group: who polls is sent to another task"
    if int(given.get("deregistration_delay.timeout_seconds", 300)) > 60:
        yield "target group: a deployment waits for sockets that don't end"


def _load_balancer(stack: Json) -> Iterator[str]:
    given = attributes(properties(stack, "LoadBalancer"), "LoadBalancerAttributes")
    for key in given.keys() - LOAD_BALANCER_ATTRIBUTES:
        yield f"load balancer: there is no attribute {key}"
    if int(given.get("idle_timeout.timeout_seconds", 60)) < 3 * PING_S:
        yield f"load balancer: its idle timeout is too near the ping's {PING_S} s"
    elif int(given.get("idle_timeout.timeout_seconds", 60)) <= 60:
        yield "load balancer: with 60 s on both sides connections were dropped"
    if given.get("routing.http.drop_invalid_header_fields.enabled") != "true":
        yield "load balancer: lets malformed headers through"


def _listeners(stack: Json) -> Iterator[str]:
    by_port = {each["Port"]: each for each in of_type(stack, LISTENER).values()}
    if set(by_port) != {80, 443}:
        yield f"listeners: on {sorted(by_port)}"
        return
    https, http = by_port[443], by_port[80]
    if https["Protocol"] != "HTTPS" or not https.get("Certificates"):
        yield "listeners: 443 without TLS"
    if not GOOD_TLS.fullmatch(https.get("SslPolicy", "ELBSecurityPolicy-2016-08")):
        yield f"listeners: TLS policy {https.get('SslPolicy')}"
    if not refers(https["DefaultActions"][0].get("TargetGroupArn"), "TargetGroup"):
        yield "listeners: 443 leads elsewhere"
    action = http["DefaultActions"][0]
    redirect = action.get("RedirectConfig", {})
    if action["Type"] != "redirect" or (redirect["Protocol"], redirect["Port"]) != ("HTTPS", "443"):
        yield "listeners: 80 does more than redirect"
    elif not refers(redirect.get("Host"), "DomainName"):
        yield "listeners: 80 redirects to whatever Host says"


def _network(stack: Json) -> Iterator[str]:
    if of_type(stack, "EC2::NatGateway"):
        yield "network: a NAT gateway costs more than the tasks"
    network = properties(stack, "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    if network.get("AssignPublicIp") != "ENABLED":
        yield "network: without a NAT gateway, a task without a public address reaches nothing"
    routed = {
        each["SubnetId"]["Ref"]
        for each in of_type(stack, "EC2::SubnetRouteTableAssociation").values()
    }
    public = [*network["Subnets"], *properties(stack, "LoadBalancer")["Subnets"]]
    for subnet in public:
        if subnet["Ref"] not in routed:
            yield f"network: {subnet['Ref']} has no way out"
    stores = [properties(stack, name)["SubnetIds"] for name in ("DatabaseSubnets", "CacheSubnets")]
    for subnet in [subnet for subnets in stores for subnet in subnets]:
        if subnet["Ref"] in routed:
            yield f"network: the store's {subnet['Ref']} has a way out"
    zones = {str(each["AvailabilityZone"]) for each in of_type(stack, "EC2::Subnet").values()}
    if len(zones) != 2:
        yield "network: not two zones"


def _open_to_the_world(stack: Json) -> Iterator[str]:
    for name, group in of_type(stack, "EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupIngress", []):
            if "SourceSecurityGroupId" not in rule and name != "AlbSecurityGroup":
                yield f"security groups: {name} is open to {rule.get('CidrIp')}"
            elif name == "AlbSecurityGroup" and rule["FromPort"] not in (80, 443):
                yield f"security groups: the world may reach port {rule['FromPort']}"
        if not group.get("SecurityGroupEgress"):
            yield f"security groups: {name} may reach everything"


RULES = (
    _service,
    _target,
    _target_group,
    _load_balancer,
    _listeners,
    _network,
    _open_to_the_world,
)
