"""What the app stands on: database, cache, roles, log, scaling, alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.stack import task_rules
from tests.stack.template import of_type, refers, strings, text_of
from tests.stack.view import chat, containers, from_group, out_of, properties, task

Json = dict[str, Any]

DATABASE_PASSWORD = "{{resolve:secretsmanager:${DatabaseSecret}:SecretString:password}}"
DATABASE_URL = re.compile(r"postgresql\+psycopg://\w+@.*\?sslmode=(require|verify-full)")
# An alarm on a metric that nobody sends, or by other dimensions, is silent for ever.
METRICS = {
    "AWS/ApplicationELB": (
        {"HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "UnHealthyHostCount"},
        [{"LoadBalancer"}, {"LoadBalancer", "TargetGroup"}],
    ),
    "AWS/ECS": ({"CPUUtilization", "MemoryUtilization"}, [{"ClusterName", "ServiceName"}]),
    "AWS/RDS": ({"CPUUtilization", "FreeStorageSpace"}, [{"DBInstanceIdentifier"}]),
    "AWS/ElastiCache": ({"CPUUtilization"}, [{"CacheClusterId"}]),
}


def _stores(stack: Json) -> Iterator[str]:
    given = chat(stack)
    secrets = {each["name"]: each for each in task_rules.app(task(stack))["secrets"]}
    for kind, name, port in (("Database", "DATABASE_URL", 5432), ("Cache", "REDIS_URL", 6379)):
        if f":{port}/" not in text_of(given[name]):
            yield f"{name} is not on port {port}"
        if port not in from_group(stack, f"{kind}SecurityGroup", "TaskSecurityGroup"):
            yield f"security groups: {kind} does not take port {port} from the tasks"
        if port not in out_of(stack, "TaskSecurityGroup"):
            yield f"security groups: tasks may not reach port {port}"
    if not DATABASE_URL.fullmatch(text_of(given["DATABASE_URL"])):
        yield "DATABASE_URL holds a password, or asks for no TLS"
    if not refers_to_secret(secrets.get("PGPASSWORD"), "DatabaseSecret"):
        yield "PGPASSWORD is not the database's"
    if not text_of(given["REDIS_URL"]).startswith("rediss://${Cache.PrimaryEndPoint.Address}"):
        yield "REDIS_URL is not the cache's, by TLS"


def refers_to_secret(secret: Json | None, name: str) -> bool:
    return secret is not None and text_of(secret["valueFrom"]).startswith(f"${{{name}}}:")


def _database(stack: Json) -> Iterator[str]:
    database, resource = properties(stack, "Database"), stack["Resources"]["Database"]
    if database.get("PubliclyAccessible") is not False:
        yield "database: it may be public"
    if database.get("StorageEncrypted") is not True:
        yield "database: it is not encrypted"
    days = database.get("BackupRetentionPeriod", 1)
    if not refers(days, "BackupDays") and days < 7:
        yield "database: backups are kept for less than a week"
    if {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} != {"Snapshot"}:
        yield "database: it goes with the stack, without a snapshot"
    if text_of(database["MasterUserPassword"]) != DATABASE_PASSWORD:
        yield "database: its password is not DatabaseSecret's"
    if f"//{database['MasterUsername']}@" not in text_of(chat(stack)["DATABASE_URL"]):
        yield "database: the app signs in as another user"
    if not refers(database["VPCSecurityGroups"][0], "DatabaseSecurityGroup"):
        yield "database: in another security group"


def _cache(stack: Json) -> Iterator[str]:
    cache = properties(stack, "Cache")
    if not cache.get("TransitEncryptionEnabled") or not cache.get("AtRestEncryptionEnabled"):
        yield "cache: not encrypted"
    if not refers(cache["SecurityGroupIds"][0], "CacheSecurityGroup"):
        yield "cache: in another security group"


def _roles(stack: Json) -> Iterator[str]:
    if set(properties(stack, "TaskRole")) != {"AssumeRolePolicyDocument"}:
        yield "task role: it may do something"
    role = properties(stack, "ExecutionRole")
    if role.get("ManagedPolicyArns"):
        yield "execution role: it may do what AWS thinks good"
    read = {text_of(each) for each in allowed(role, "secretsmanager:GetSecretValue")}
    used = {
        text_of(secret["valueFrom"]).rsplit(":", 3)[0]
        for container in containers(stack)
        for secret in container.get("secrets", [])
    }
    for name in read - used:
        yield f"execution role: reads {name}, which no container gets"
    for name in used - read:
        yield f"execution role: may not read {name}"
    if {str(each) for each in allowed(role, "logs:PutLogEvents")} != {
        str({"Fn::GetAtt": ["LogGroup", "Arn"]})
    }:
        yield "execution role: it may not write to the log group, or to others too"


def allowed(role: Json, action: str) -> list[Any]:
    """The resources on which a role may do `action`."""
    found: list[Any] = []
    for policy in role.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            if action in (actions if isinstance(actions, list) else [actions]):
                found += resources if isinstance(resources, list) else [resources]
    return found


def _logs(stack: Json) -> Iterator[str]:
    if "RetentionInDays" not in properties(stack, "LogGroup"):
        yield "log group: kept for ever"
    if "Retain" not in stack["Resources"]["LogGroup"].get("DeletionPolicy", ""):
        yield "log group: it goes with the stack"
    for container in containers(stack):
        if not refers(container["logConfiguration"]["options"]["awslogs-group"], "LogGroup"):
            yield f"log group: {container['name']} logs elsewhere"


def _scaling(stack: Json) -> Iterator[str]:
    target, policy = properties(stack, "ScalableTarget"), properties(stack, "ScaleOnCpu")
    if text_of(target["ResourceId"]) != "service/${Cluster}/${Service.Name}":
        yield "autoscaling: of another service"
    if not refers(target["MinCapacity"], "DesiredCount"):
        yield "autoscaling: it does not begin at DesiredCount"
    if not refers(policy["ScalingTargetId"], "ScalableTarget"):
        yield "autoscaling: the policy is another target's"


def _alarms(stack: Json) -> Iterator[str]:
    for name, alarm in of_type(stack, "CloudWatch::Alarm").items():
        metrics, known = METRICS.get(alarm["Namespace"], (set(), []))
        if alarm["MetricName"] not in metrics:
            yield f"alarms: {name}: {alarm['Namespace']} has no {alarm['MetricName']}"
        dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        if set(dimensions) not in known:
            yield f"alarms: {name}: no metric by {sorted(dimensions)}"
        for key, attribute in (("LoadBalancer", "LoadBalancerFullName"),
                               ("TargetGroup", "TargetGroupFullName")):  # fmt: skip
            if key in dimensions and dimensions[key].get("Fn::GetAtt") != [key, attribute]:
                yield f"alarms: {name}: its {key} is not a full name"
        if not alarm.get("AlarmActions"):
            yield f"alarms: {name}: nobody is told"


def _nothing_named(stack: Json) -> Iterator[str]:
    """A name of its own would collide with the demo's, or with what a deleted stack left."""
    own = {"ClusterName", "ServiceName", "LogGroupName", "RoleName", "DBInstanceIdentifier",
           "ReplicationGroupId", "AlarmName", "TopicName"}  # fmt: skip
    for name, resource in stack["Resources"].items():
        for key in resource.get("Properties", {}).keys() & own:
            yield f"{name}: it has a name of its own, {key}"
    for kind in ("SecretsManager::Secret", "ElasticLoadBalancingV2::LoadBalancer",
                 "ElasticLoadBalancingV2::TargetGroup"):  # fmt: skip
        for name, resource in of_type(stack, kind).items():
            if "Name" in resource:
                yield f"{name}: it has a name of its own, Name"


def _no_region_or_account(stack: Json) -> Iterator[str]:
    for text in strings(stack["Resources"]):
        if re.search(r"\b\d{12}\b|\b(us|eu|ap|ca|sa|af|me|il|mx|us-gov)-[a-z]+-\d[a-z]?\b", text):
            yield f"an account or region is written down: {text}"


RULES = (
    _stores,
    _database,
    _cache,
    _roles,
    _logs,
    _scaling,
    _alarms,
    _nothing_named,
    _no_region_or_account,
)
