"""The CloudFormation types of `deploy/stack.yaml` that moto lacks.

moto has the services themselves; here they learn to be made by a stack. So a test can ask their
own interfaces for what the stack has made, and see that nothing is left after its deletion.
"""

from __future__ import annotations

import inspect
import json
import secrets
from typing import ClassVar

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.elasticache.models import elasticache_backends
from moto.secretsmanager.models import secretsmanager_backends

from tests.deploy.aws.stack_type import StackType


class Secret(StackType):
    type_name = "AWS::SecretsManager::Secret"
    name_property = "Name"
    backends = secretsmanager_backends

    def make(self) -> str:
        secret = self.backend.create_secret(
            name=self.name,
            secret_string=self._value(),
            secret_binary=None,
            description=self.properties.get("Description"),
            tags=None,
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return json.loads(secret)["ARN"] if isinstance(secret, str) else secret["ARN"]

    def change(self) -> None:
        """A value that was generated stays."""

    def remove(self) -> None:
        self.backend.delete_secret(self.id, None, True)

    def _value(self) -> str:
        if "SecretString" in self.properties:
            return self.properties["SecretString"]
        how = self.properties["GenerateSecretString"]
        password = secrets.token_hex(how.get("PasswordLength", 32))[: how.get("PasswordLength", 32)]
        if "SecretStringTemplate" not in how:
            return password
        return json.dumps(
            json.loads(how["SecretStringTemplate"]) | {how["GenerateStringKey"]: password}
        )


class CacheSubnets(StackType):
    type_name = "AWS::ElastiCache::SubnetGroup"
    name_property = "CacheSubnetGroupName"
    backends = elasticache_backends

    def make(self) -> str:
        name = self.name.lower()
        self.backend.create_cache_subnet_group(
            name, self.properties["Description"], self.properties["SubnetIds"], tags=None
        )
        return name

    def change(self) -> None:
        """Nothing of it changes here."""

    def remove(self) -> None:
        del self.backend.cache_subnet_groups[self.id]


class Cache(StackType):
    type_name = "AWS::ElastiCache::ReplicationGroup"
    name_property = "ReplicationGroupId"
    backends = elasticache_backends
    attributes: ClassVar = {
        "PrimaryEndPoint.Address": lambda cache: f"master.{cache.id}.cache.amazonaws.com",
        "PrimaryEndPoint.Port": lambda cache: str(cache.properties.get("Port", 6379)),
    }

    def make(self) -> str:
        name = self.name.lower()[:40]
        known = inspect.signature(self.backend.create_replication_group).parameters
        given = {_snake(key): value for key, value in self.properties.items()}
        given["replication_group_id"] = name
        arguments = {key: given.get(key) for key in known}
        self.backend.create_replication_group(**arguments)
        return name

    def change(self) -> None:
        """Nothing of it changes here."""

    def remove(self) -> None:
        del self.backend.replication_groups[self.id]


class Alarm(StackType):
    type_name = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    backends = cloudwatch_backends

    def make(self) -> str:
        of = self.properties
        self.backend.put_metric_alarm(
            name=self.name,
            namespace=of["Namespace"],
            metric_name=of["MetricName"],
            comparison_operator=of["ComparisonOperator"],
            evaluation_periods=of["EvaluationPeriods"],
            period=of["Period"],
            threshold=of["Threshold"],
            statistic=of["Statistic"],
            description=of.get("AlarmDescription"),
            dimensions=of["Dimensions"],
            alarm_actions=of.get("AlarmActions", []),
            treat_missing_data=of.get("TreatMissingData"),
        )
        return self.name

    def remove(self) -> None:
        self.backend.delete_alarms([self.name])


class ScalableTarget(StackType):
    type_name = "AWS::ApplicationAutoScaling::ScalableTarget"
    backends = applicationautoscaling_backends

    def make(self) -> str:
        of = self.properties
        target = self.backend.register_scalable_target(
            of["ServiceNamespace"],
            of["ResourceId"],
            of["ScalableDimension"],
            int(of["MinCapacity"]),
            int(of["MaxCapacity"]),
            of.get("RoleARN"),
            None,
        )
        self._bring_into_range()
        return "|".join([target.resource_id, target.scalable_dimension, target.service_namespace])

    def _bring_into_range(self) -> None:
        """As AWS documents of RegisterScalableTarget: at once, not at the first alarm."""
        _, cluster, name = self.properties["ResourceId"].split("/")
        [service], _ = self.backend.ecs_backend.describe_services(cluster, [name])
        least, most = int(self.properties["MinCapacity"]), int(self.properties["MaxCapacity"])
        service.desired_count = min(max(service.desired_count, least), most)
        service.running_count = service.desired_count

    def remove(self) -> None:
        resource, dimension, namespace = self.id.split("|")
        self.backend.deregister_scalable_target(namespace, resource, dimension)


class ScalingPolicy(StackType):
    type_name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    backends = applicationautoscaling_backends

    def make(self) -> str:
        of = self.properties
        resource, dimension, namespace = of["ScalingTargetId"].split("|")
        policy = self.backend.put_scaling_policy(
            of["PolicyName"],
            namespace,
            resource,
            dimension,
            of["TargetTrackingScalingPolicyConfiguration"],
            of["PolicyType"],
        )
        return policy.policy_arn

    def change(self) -> None:
        self.remove()
        self.id = self.make()

    def remove(self) -> None:
        of = self.properties
        resource, dimension, namespace = of["ScalingTargetId"].split("|")
        self.backend.delete_scaling_policy(of["PolicyName"], namespace, resource, dimension)


def _snake(name: str) -> str:
    """`NumCacheClusters` → `num_cache_clusters`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
