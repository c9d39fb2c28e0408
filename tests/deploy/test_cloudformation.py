"""`deploy/stack.yaml`, given to CloudFormation as moto plays it: made, changed, taken away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers import ROOT

STACK, DOMAIN = "template-test", "chat.example.com"
# Of this module alone: what others leave in theirs is not counted here.
REGION = {"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "eu-west-3"}
IMAGES = [f"registry.example.com/commons@sha256:{digit * 64}" for digit in "12"]
NGINX = "public.ecr.aws/nginx/nginx:stable"
OKTA = ("OKTA_OAUTH2_ISSUER", "OKTA_OAUTH2_CLIENT_ID", "OKTA_OAUTH2_CLIENT_SECRET")
Aws = Callable[..., Any]


@pytest.fixture(scope="module")
def aws(aws_environment: dict[str, str]) -> Aws:
    """Run the `aws` command; returns what it answers, or fails with what it says."""

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            ["aws", "--output", "json", *arguments],
            cwd=ROOT,
            env=aws_environment | REGION | {"AWS_MAX_ATTEMPTS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"aws {' '.join(arguments)[:200]}\n{done.stdout}{done.stderr}"
        answers = done.stdout.strip().startswith(("{", "["))
        return json.loads(done.stdout) if answers else done.stdout

    return run


@pytest.fixture(scope="module")
def given(aws: Aws) -> dict[str, str]:
    """What the stack is given, and does not make itself."""

    def secret(name: str, *keys: str) -> str:
        value = json.dumps(dict.fromkeys(keys, "of no consequence"))
        made = aws(
            *("secretsmanager", "create-secret", "--name", f"{STACK}/{name}"),
            *("--secret-string", value),
        )
        return made["ARN"]

    certificate = aws("acm", "request-certificate", "--domain-name", DOMAIN)
    zone = aws(
        *("route53", "create-hosted-zone", "--name", "example.com"), *("--caller-reference", STACK)
    )
    return {
        "DomainName": DOMAIN,
        "CertificateArn": certificate["CertificateArn"],
        "HostedZoneId": zone["HostedZone"]["Id"].removeprefix("/hostedzone/"),
        "AlarmEmail": "operator@example.com",
        "OktaSecretArn": secret("okta", *OKTA),
        "AppSecretArn": secret("app", "SECRET_KEY"),
        "NginxTlsSecretArn": secret("nginx", "certificate", "key"),
        "NginxConf": (ROOT / "deploy" / "nginx.conf").read_text(),
    }


@pytest.fixture
def stack(aws: Aws, given: dict[str, str]) -> Iterator[Stack]:
    stack = Stack(aws)
    stack.deploy(Image=IMAGES[0], **given)
    yield stack
    stack.delete()


class Stack:
    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def deploy(self, **parameters: str) -> None:
        """As `make deploy` does. What isn't given stays as it was."""
        self.aws(
            *("cloudformation", "deploy", "--stack-name", STACK),
            *("--template-file", "deploy/stack.yaml", "--capabilities", "CAPABILITY_IAM"),
            *("--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())),
        )

    def delete(self) -> None:
        self.aws("cloudformation", "delete-stack", "--stack-name", STACK)

    @property
    def outputs(self) -> dict[str, str]:
        found = self.aws("cloudformation", "describe-stacks", "--stack-name", STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    @property
    def service(self) -> dict[str, Any]:
        out = self.outputs
        where = ("--cluster", out["Cluster"], "--services", out["Service"])
        return self.aws("ecs", "describe-services", *where)["services"][0]

    @property
    def containers(self) -> dict[str, Any]:
        """The containers of the revision that the service runs, by name."""
        named = ("--task-definition", self.service["taskDefinition"])
        found = self.aws("ecs", "describe-task-definition", *named)["taskDefinition"]
        return {each["name"]: each for each in found["containerDefinitions"]}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["environment"]}


def test_the_stack_serves_its_domain_with_two_tasks(aws: Aws, stack: Stack) -> None:
    out = stack.outputs
    assert out["Url"] == f"https://{DOMAIN}"
    assert stack.service["desiredCount"] == 2
    assert stack.containers["chat"]["image"] == IMAGES[0]
    balancer = aws("elbv2", "describe-load-balancers")["LoadBalancers"][0]
    assert balancer["DNSName"] == out["AlbDns"]
    listeners = aws(
        "elbv2", "describe-listeners", "--load-balancer-arn", balancer["LoadBalancerArn"]
    )
    assert {listener["Port"] for listener in listeners["Listeners"]} == {80, 443}


def test_the_app_gets_its_secrets_and_stores(aws: Aws, stack: Stack) -> None:
    chat = stack.containers["chat"]
    assert {secret["name"] for secret in chat["secrets"]} == {*OKTA, "SECRET_KEY", "PGPASSWORD"}
    for secret in chat["secrets"]:
        arn, _, key = secret["valueFrom"].removesuffix("::").rpartition(":")
        value = aws("secretsmanager", "get-secret-value", "--secret-id", arn)["SecretString"]
        assert json.loads(value)[key], secret["name"]
    database = aws("rds", "describe-db-instances")["DBInstances"][0]["Endpoint"]["Address"]
    assert f"chat@{database}:5432/chat?" in environment(chat)["DATABASE_URL"]
    assert environment(chat)["REDIS_URL"].startswith("rediss://")


def test_a_new_image_reaches_the_service(stack: Stack) -> None:
    before = stack.service["taskDefinition"]
    stack.deploy(Image=IMAGES[1], PreviousImage=IMAGES[0])
    assert stack.service["taskDefinition"] != before
    assert stack.containers["chat"]["image"] == IMAGES[1]
    assert stack.outputs["PreviousImage"] == IMAGES[0]


def test_nginx_comes_and_goes(stack: Stack) -> None:
    assert set(stack.containers) == {"chat"}
    stack.deploy(NginxImage=NGINX)
    assert set(stack.containers) == {"chat", "nginx"}
    assert environment(stack.containers["chat"])["TRUSTED_PROXIES"] == "2"
    assert stack.service["loadBalancers"][0]["containerPort"] == 9443
    stack.deploy(NginxImage="")
    assert set(stack.containers) == {"chat"}
    assert environment(stack.containers["chat"])["TRUSTED_PROXIES"] == "1"
    assert stack.service["loadBalancers"][0]["containerPort"] == 8443


def test_no_tasks_stop_the_service(stack: Stack) -> None:
    stack.deploy(DesiredCount="0")
    assert stack.service["desiredCount"] == 0


def test_of_a_deleted_stack_only_its_log_is_left(aws: Aws, stack: Stack) -> None:
    log, cluster = stack.outputs["LogGroup"], stack.outputs["Cluster"]
    stack.delete()
    assert not aws("elbv2", "describe-load-balancers")["LoadBalancers"]
    assert not aws("elbv2", "describe-target-groups")["TargetGroups"]
    assert not aws("rds", "describe-db-instances")["DBInstances"]
    assert not aws("elasticache", "describe-replication-groups")["ReplicationGroups"]
    assert not aws("cloudwatch", "describe-alarms")["MetricAlarms"]
    assert not aws("sns", "list-topics")["Topics"]
    assert not aws("iam", "list-roles", "--query", f"Roles[?starts_with(RoleName, '{STACK}')]")
    vpcs = aws("ec2", "describe-vpcs", "--filters", "Name=is-default,Values=false")["Vpcs"]
    assert not vpcs
    found = aws("ecs", "describe-clusters", "--clusters", cluster)["clusters"]
    assert [each["status"] for each in found] == ["INACTIVE"]
    groups = aws("logs", "describe-log-groups", "--log-group-name-prefix", log)["logGroups"]
    assert [group["logGroupName"] for group in groups] == [log]
