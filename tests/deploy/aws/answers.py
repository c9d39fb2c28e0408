"""Answers of ECR and ECS that are unlike those of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_public_ip
from moto.ecr.models import Repository
from moto.ecr.responses import ECRResponse
from moto.ecs.models import EC2ContainerServiceBackend, Task

Json = dict[str, Any]


def point_ecr_to(registry: str) -> None:
    """Let ECR's answers name a registry that is really there."""
    init, answer = Repository.__init__, ECRResponse.get_authorization_token

    def with_registry(self: Repository, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.uri = f"{registry}/{self.name}"

    def with_endpoint(self: ECRResponse) -> Any:
        result = answer(self)
        for data in result.result["authorizationData"]:
            data["proxyEndpoint"] = f"https://{registry}"
        return result

    Repository.__init__ = with_registry
    ECRResponse.get_authorization_token = with_endpoint


def fill_ecs(public_ip: str | None) -> None:
    """Give a task's interface a public address if the task asked for one; let it end with it."""
    init, stop = Task.__init__, EC2ContainerServiceBackend.stop_task

    def with_address(self: Task, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for eni, configuration in _interfaces(self):
            if configuration.get("assignPublicIp") == "ENABLED":
                eni.public_ip = public_ip or random_public_ip()

    def without_interface(self: EC2ContainerServiceBackend, *args: Any, **kwargs: Any) -> Task:
        task = stop(self, *args, **kwargs)
        for eni, _ in _interfaces(task):
            eni.ec2_backend.delete_network_interface(eni.id)
        task.attachments = []
        return task

    Task.__init__ = with_address
    EC2ContainerServiceBackend.stop_task = without_interface


def _interfaces(task: Task) -> Iterator[tuple[Any, Json]]:
    backend = ec2_backends[task._account_id][task.region_name]
    for attachment in task.attachments:
        details = {detail["name"]: detail["value"] for detail in attachment["details"]}
        eni = backend.get_network_interface(details["networkInterfaceId"])
        yield eni, task.network_configuration["awsvpcConfiguration"]
