"""What AWS is given, held to the rules of `stack/`: what cfn-lint and checkov let pass.

Each rule is shown to see its fault, seeded into a copy of the real file.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest

from chat import tls
from tests.servers import ROOT, require
from tests.stack import rules, task_rules, template, traffic

Json = dict[str, Any]

STACK = template.load(ROOT / "deploy" / "stack.yaml")
DEMO_TEXT = (ROOT / "deploy" / "task-definition.json").read_text()
DEMO = json.loads(DEMO_TEXT)
NGINX_CONF = (ROOT / "deploy" / "nginx.conf").read_text()
PLACEHOLDERS = {
    "APP_SECRET_ARN",
    "ARCHITECTURE",
    "EXECUTION_ROLE_ARN",
    "IMAGE",
    "LOG_GROUP",
    "NAME",
    "OKTA_SECRET_ARN",
    "REGION",
    "TASK_ROLE_ARN",
}
GONE = object()

# Places in the stack.
TASK = "TaskDefinition/Properties"
CHAT = f"{TASK}/ContainerDefinitions/0"
NGINX = f"{TASK}/ContainerDefinitions/1/Fn::If/1"
SERVICE = "Service/Properties"
TARGET = f"{SERVICE}/LoadBalancers/0"
GROUP = "TargetGroup/Properties"
BALANCER = "LoadBalancer/Properties"
HTTPS, HTTP = "HttpsListener/Properties", "HttpListener/Properties"
DATABASE, CACHE = "Database/Properties", "Cache/Properties"
ROLE = "ExecutionRole/Properties"
READS = f"{ROLE}/Policies/0/PolicyDocument/Statement/3/Resource"

STACK_FAULTS = [
    (f"{CHAT}/StopTimeout", 121, "stopTimeout 121 is over"),
    (f"{NGINX}/StopTimeout", 121, "nginx: stopTimeout 121 is over"),
    (f"{CHAT}/StopTimeout", 5, "no time to end"),
    (f"{CHAT}/StopTimeout", GONE, "no stopTimeout"),
    (f"{CHAT}/HealthCheck", GONE, "no health check"),
    (f"{CHAT}/HealthCheck/Timeout", 15, "health timeout 15"),
    (f"{CHAT}/HealthCheck/Interval", 400, "health interval is outside"),
    (f"{CHAT}/HealthCheck/Command/0", "python", "begins with CMD"),
    (f"{CHAT}/ReadonlyRootFilesystem", False, "root can be written"),
    (f"{CHAT}/User", GONE, "runs as root"),
    (f"{NGINX}/User", "0:0", "nginx: runs as root"),
    (f"{CHAT}/LinuxParameters/Capabilities", GONE, "keeps capabilities"),
    (f"{CHAT}/LinuxParameters/Tmpfs", [], "Fargate has no tmpfs"),
    (f"{CHAT}/LinuxParameters/InitProcessEnabled", True, "not the first process"),
    (f"{CHAT}/Ulimits", GONE, "limit nofile"),
    (f"{CHAT}/PortMappings/0/ContainerPort", 8080, "maps [8080]"),
    (f"{CHAT}/Environment/0/Value", "8080", "listens on [8080]"),
    (f"{CHAT}/Environment/0/Name", "PROT", "PROT is no setting"),
    (f"{CHAT}/Environment/1/Value", "selfsigned", "serves no TLS"),
    (f"{CHAT}/Environment/2/Name", "PUBLIC_ULR", "either PUBLIC_URL or"),
    (f"{CHAT}/Environment/3/Value/Fn::If/1", "1", "TRUSTED_PROXIES is not 2"),
    (f"{CHAT}/Environment/3/Value", "2", "TRUSTED_PROXIES is not 1"),
    (f"{CHAT}/Environment/4/Name", "SECRET_KEY", "SECRET_KEY belongs to the secrets"),
    (f"{CHAT}/Secrets/3/Name", "SECRET_KYE", "SECRET_KYE is no setting"),
    (f"{CHAT}/Secrets/3/ValueFrom", {"Ref": "AppSecretArn"}, "is not SECRET:KEY::"),
    (
        f"{CHAT}/Secrets/1/ValueFrom/Fn::Sub",
        "${OktaSecretArn}:OKTA_OAUTH2_ISSUER::",
        "CLIENT_ID is taken from",
    ),
    (f"{CHAT}/MountPoints/0/SourceVolume", "tpm", "there is no volume tpm"),
    (f"{CHAT}/MountPoints/0/ContainerPath", "/var/run", "declares no volume"),
    (f"{CHAT}/MountPoints", GONE, "is mounted nowhere"),
    (f"{CHAT}/LogConfiguration/Options/mode", GONE, "would stop it"),
    (f"{NGINX}/LogConfiguration/LogDriver", "json-file", "nginx: no awslogs"),
    (f"{CHAT}/LogConfiguration/Options/max-bufer-size", "4m", "log option max-bufer-size"),
    (f"{CHAT}/LogConfiguration/Options/awslogs-group", "/commons", "chat logs elsewhere"),
    (f"{NGINX}/DependsOn", [{"ContainerName": "app", "Condition": "START"}], "waits for app"),
    (f"{NGINX}/DependsOn", [{"ContainerName": "chat", "Condition": "HEALTHY"}], "is stopped first"),
    (f"{TASK}/ExecutionRoleArn", GONE, "no execution role"),
    (f"{TASK}/RuntimePlatform", GONE, "no architecture"),
    (f"{TASK}/NetworkMode", "bridge", "not for Fargate"),
    (f"{TARGET}/ContainerName", "app", "no container app"),
    (f"{TARGET}/ContainerPort/Fn::If/2", 8080, "chat has no port 8080"),
    (f"{TARGET}/ContainerPort/Fn::If/1", 9444, "nginx has no port 9444"),
    (f"{TARGET}/ContainerName/Fn::If/1", "chat", "nginx is passed by"),
    (f"{TARGET}/TargetGroupArn", {"Ref": "Other"}, "target group is another"),
    (f"{SERVICE}/DesiredCount", 2, "undo autoscaling"),
    (f"{SERVICE}/PlatformVersion", "1.3.0", "not LATEST"),
    (f"{SERVICE}/HealthCheckGracePeriodSeconds", 10, "check begins before"),
    (f"{SERVICE}/DeploymentConfiguration/DeploymentCircuitBreaker/Rollback", False, "rolled back"),
    (f"{SERVICE}/DeploymentConfiguration/MinimumHealthyPercent", 50, "takes tasks away"),
    (f"{SERVICE}/NetworkConfiguration/AwsvpcConfiguration/AssignPublicIp", "DISABLED", "nothing"),
    (
        f"{SERVICE}/NetworkConfiguration/AwsvpcConfiguration/Subnets/0",
        {"Ref": "StoreSubnetA"},
        "StoreSubnetA has no way out",
    ),
    ("Service/DependsOn", ["InternetRoute"], "before its listener"),
    ("TaskSecurityGroup/Properties/SecurityGroupEgress/0", {"FromPort": 80, "ToPort": 80}, "Okta"),
    ("InternetRoute/Properties/DestinationCidrBlock", "10.0.0.0/8", "to the internet"),
    ("InternetRoute/Properties/GatewayId", {"Ref": "Vpc"}, "to the internet"),
    (f"{BALANCER}/Scheme", "internal", "not on the internet"),
    ("AlbSecurityGroup/Properties/SecurityGroupIngress/0/ToPort", 65535, "a range of ports"),
    (
        "DatabaseSecurityGroup/Properties/SecurityGroupIngress/0",
        {"FromPort": 5432, "ToPort": 5432, "CidrIp": "0.0.0.0/0"},
        "lets in addresses",
    ),
    ("Hole", {"Type": "AWS::EC2::SecurityGroupIngress"}, "stands apart"),
    (
        f"{ROLE}/AssumeRolePolicyDocument/Statement/0/Principal/Service",
        "ecs.amazonaws.com",
        "may not take it",
    ),
    (f"{ROLE}/Policies/0/PolicyDocument/Statement/0/Action", "ecr:X", "GetAuthorizationToken"),
    (f"{ROLE}/Policies/0/PolicyDocument/Statement/1/Action", ["ecr:X"], "ecr:BatchGetImage"),
    (f"{ROLE}/Policies/0/PolicyDocument/Statement/0/Action", "*", "may do everything"),
    (f"{CHAT}/Secrets/0/Name", "ALLOWED_GROUPS", "is not given OKTA_OAUTH2_ISSUER"),
    (f"{CHAT}/Secrets/3/ValueFrom/Fn::Sub", "${AppSecretArn}:KEY::", "not given SECRET_KEY"),
    (f"{CHAT}/HealthCheck/Command/3", "chat.healtcheck", "asked in another way"),
    (f"{CHAT}/Essential", False, "its task goes on"),
    ("DatabaseSecret/Properties/Name", "commons/db", "a name of its own, Name"),
    (f"{GROUP}/Name", "commons", "a name of its own, Name"),
    (f"{GROUP}/TargetType", "instance", "targets by ip"),
    (f"{GROUP}/Protocol", "HTTP", "the app speaks TLS"),
    (f"{GROUP}/ProtocolVersion", "HTTP2", "HTTP/1.1"),
    (f"{GROUP}/Port", 8080, "port 8080 is not the app's"),
    (f"{GROUP}/HealthCheckPath", "/readyz", "replace every task"),
    (f"{GROUP}/HealthCheckTimeoutSeconds", 10, "health timeout is not under"),
    (f"{GROUP}/TargetGroupAttributes/0/Key", "deregistration_delay.timeout", "no attribute dereg"),
    (f"{GROUP}/TargetGroupAttributes/0/Value", "300", "waits for sockets"),
    (f"{GROUP}/TargetGroupAttributes/1/Value", "false", "who polls"),
    (f"{BALANCER}/LoadBalancerAttributes/0/Key", "idle_timeout.seconds", "no attribute idle_t"),
    (f"{BALANCER}/LoadBalancerAttributes/0/Value", "60", "with 60 s on both sides"),
    (f"{BALANCER}/LoadBalancerAttributes/0/Value", "30", "too near the ping"),
    (f"{BALANCER}/LoadBalancerAttributes/1/Value", "false", "malformed headers"),
    (f"{HTTPS}/SslPolicy", "ELBSecurityPolicy-2016-08", "TLS policy ELBSecurityPolicy-2016-08"),
    (f"{HTTPS}/SslPolicy", "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", "TLS policy"),
    (f"{HTTPS}/SslPolicy", GONE, "TLS policy None"),
    (f"{HTTPS}/Certificates", GONE, "443 without TLS"),
    (f"{HTTPS}/DefaultActions/0/TargetGroupArn", {"Ref": "Other"}, "443 leads elsewhere"),
    (f"{HTTP}/DefaultActions/0/Type", "forward", "80 does more than redirect"),
    (f"{HTTP}/DefaultActions/0/RedirectConfig/Host", GONE, "whatever Host says"),
    (f"{HTTP}/Port", 8080, "on [443, 8080]"),
    ("Nat", {"Type": "AWS::EC2::NatGateway"}, "NAT gateway"),
    (
        "PublicRoutesB/Properties/SubnetId",
        {"Ref": "StoreSubnetB"},
        "StoreSubnetB has a way out",
    ),
    ("PublicSubnetB/Properties/AvailabilityZone", "here", "not two zones"),
    (
        "TaskSecurityGroup/Properties/SecurityGroupIngress/0",
        {"FromPort": 8443, "ToPort": 8443, "CidrIp": "0.0.0.0/0"},
        "TaskSecurityGroup is open to 0.0.0.0/0",
    ),
    (
        "TaskSecurityGroup/Properties/SecurityGroupIngress/1/FromPort",
        9440,
        "don't take port 9443",
    ),
    ("AlbSecurityGroup/Properties/SecurityGroupEgress/0/ToPort", 443, "may not reach port 8443"),
    ("AlbSecurityGroup/Properties/SecurityGroupIngress/0/FromPort", 0, "the world may reach"),
    ("DatabaseSecurityGroup/Properties/SecurityGroupEgress", [], "may reach everything"),
    (
        "DatabaseSecurityGroup/Properties/SecurityGroupIngress/0/SourceSecurityGroupId",
        {"Ref": "AlbSecurityGroup"},
        "Database does not take port 5432",
    ),
    ("TaskSecurityGroup/Properties/SecurityGroupEgress/2/ToPort", 1, "may not reach port 6379"),
    (f"{CHAT}/Environment/6/Value/Fn::Sub/0", "postgresql+psycopg://chat@${Host}:5432/chat", "TLS"),
    (f"{CHAT}/Environment/6/Value", "postgresql+psycopg://chat@x:5433/chat", "not on port 5432"),
    (f"{CHAT}/Environment/7/Value/Fn::Sub", "redis://x:6379/0", "not the cache's, by TLS"),
    (f"{CHAT}/Secrets/4/ValueFrom/Fn::Sub", "${AppSecretArn}:password::", "not the database's"),
    (f"{DATABASE}/PubliclyAccessible", True, "may be public"),
    (f"{DATABASE}/PubliclyAccessible", GONE, "may be public"),
    (f"{DATABASE}/StorageEncrypted", GONE, "not encrypted"),
    (f"{DATABASE}/BackupRetentionPeriod", 1, "less than a week"),
    (f"{DATABASE}/MasterUsername", "postgres", "as another user"),
    (f"{DATABASE}/MasterUserPassword", "correct horse", "not DatabaseSecret's"),
    (f"{DATABASE}/VPCSecurityGroups/0", {"Ref": "TaskSecurityGroup"}, "another security group"),
    ("Database/DeletionPolicy", "Delete", "without a snapshot"),
    (f"{CACHE}/TransitEncryptionEnabled", False, "cache: not encrypted"),
    (f"{CACHE}/SecurityGroupIds/0", {"Ref": "TaskSecurityGroup"}, "cache: in another"),
    (f"{READS}/2", GONE, "may not read ${DatabaseSecret}"),
    (f"{READS}/3", GONE, "may not read ${NginxTlsSecretArn}"),
    (f"{READS}/3", {"Ref": "NginxTlsSecretArn"}, "which no container gets"),
    (f"{READS}/0", "*", "reads *, which no"),
    (f"{ROLE}/ManagedPolicyArns", ["arn"], "what AWS thinks good"),
    (f"{ROLE}/Policies/0/PolicyDocument/Statement/2/Resource", "*", "or to others too"),
    ("TaskRole/Properties/Policies", [{}], "task role: it may do something"),
    ("LogGroup/Properties/RetentionInDays", GONE, "kept for ever"),
    ("LogGroup/DeletionPolicy", "Delete", "log group: it goes"),
    ("ScalableTarget/Properties/MinCapacity", 1, "not begin at DesiredCount"),
    ("ScalableTarget/Properties/ResourceId/Fn::Sub", "service/${Service}", "of another service"),
    ("ScaleOnCpu/Properties/ScalingTargetId", {"Ref": "Other"}, "another target's"),
    ("AppErrorsAlarm/Properties/MetricName", "HTTPCode_5XX", "has no HTTPCode_5XX"),
    ("CpuAlarm/Properties/Dimensions/0/Name", "Cluster", "no metric by"),
    (
        "UnhealthyTasksAlarm/Properties/Dimensions/1/Value",
        {"Ref": "TargetGroup"},
        "not a full name",
    ),
    ("MemoryAlarm/Properties/AlarmActions", GONE, "nobody is told"),
    ("Cluster/Properties/ClusterName", "commons", "a name of its own"),
    ("PublicSubnetA/Properties/AvailabilityZone", "eu-west-1a", "written down"),
]

DEMO_CHAT = "containerDefinitions/0"
DEMO_FAULTS = [
    ("executionRoleArn", GONE, "no execution role"),
    ("taskRoleArn", GONE, "no task role"),
    ("memory", "4096", "Fargate has no 4096 MiB"),
    (f"{DEMO_CHAT}/memoryReservation", 1024, "reserve 1024 of 512"),
    (f"{DEMO_CHAT}/systemControls", GONE, "can't listen on 80"),
    (f"{DEMO_CHAT}/portMappings/1/containerPort", 8080, "maps [443, 8080]"),
    (f"{DEMO_CHAT}/mountPoints/1/sourceVolume", "date", "there is no volume date"),
    (f"{DEMO_CHAT}/environment/3/value", "", "either PUBLIC_URL or URL_FROM_HOST"),
    (f"{DEMO_CHAT}/environment/3/name", "CHAT_ENV", "nothing else is served"),
    (f"{DEMO_CHAT}/stopTimeout", 600, "stopTimeout 600 is over"),
    (f"{DEMO_CHAT}/healthCheck/timeout", 20, "health timeout 20"),
    (f"{DEMO_CHAT}/secrets/0/valueFrom", "${OKTA_SECRET_ARN}", "is not SECRET:KEY::"),
    (f"{DEMO_CHAT}/logConfiguration/options/mode", "blocking", "would stop it"),
]


def seeded(whole: Json, place: str, value: object) -> Json:
    """A copy of `whole` with something else in a place; GONE takes it away."""
    whole = copy.deepcopy(whole)
    *way, last = (int(part) if part.isdigit() else part for part in place.split("/"))
    part: Any = whole
    for step in way:
        part = part[step]
    if value is GONE:
        del part[last]
    else:
        part[last] = value
    return whole


def test_nothing_is_wrong_with_the_stack() -> None:
    assert rules.problems(STACK) == []


@pytest.mark.parametrize(("place", "value", "line"), STACK_FAULTS)
def test_a_fault_in_the_stack_is_seen(place: str, value: object, line: str) -> None:
    faulty = {**STACK, "Resources": seeded(STACK["Resources"], place, value)}
    assert [found for found in rules.problems(faulty) if line in found]


def test_nothing_is_wrong_with_the_demo() -> None:
    assert task_rules.problems(DEMO) == []


@pytest.mark.parametrize(("place", "value", "line"), DEMO_FAULTS)
def test_a_fault_in_the_demo_is_seen(place: str, value: object, line: str) -> None:
    assert [found for found in task_rules.problems(seeded(DEMO, place, value)) if line in found]


def test_the_demo_has_the_placeholders_that_are_filled_in() -> None:
    assert set(Template(DEMO_TEXT).get_identifiers()) == PLACEHOLDERS
    filled = Template(DEMO_TEXT).substitute(dict.fromkeys(PLACEHOLDERS, "x"))
    assert "$" not in filled


def test_the_template_is_plain() -> None:
    """No macro and no alias of YAML: CloudFormation would refuse the latter."""
    text = (ROOT / "deploy" / "stack.yaml").read_text()
    assert "Transform" not in STACK
    assert not re.search(r"^\s*[\w-]+: [&*]\w", text, re.MULTILINE)
    assert len(text.encode()) <= 51_200, "CloudFormation takes no more without a bucket"


def test_backups_are_kept_for_a_week_where_nothing_is_said() -> None:
    assert STACK["Parameters"]["BackupDays"]["Default"] >= 7


def test_every_parameter_is_used_and_described_or_plain() -> None:
    body = json.dumps({key: STACK[key] for key in ("Conditions", "Resources", "Outputs")})
    for name in STACK["Parameters"]:
        assert f'"Ref": "{name}"' in body or f"${{{name}}}" in body, name


def test_tools_find_the_outputs_that_they_read() -> None:
    assert {"Url", "AlbDns", "Cluster", "Service", "LogGroup"} <= set(STACK["Outputs"])


def test_the_ping_that_the_idle_timeout_is_measured_by_is_the_apps() -> None:
    source = (ROOT / "chat" / "transport" / "__init__.py").read_text()
    interval = re.search(r"PING_INTERVAL_S, \w+ = (\d+)", source)
    assert interval
    assert int(interval[1]) == traffic.PING_S


def containers_with_nginx() -> list[Json]:
    conditions = dict.fromkeys(STACK["Conditions"], True)
    resources = template.decided(STACK["Resources"], conditions)
    return resources["TaskDefinition"]["Properties"]["ContainerDefinitions"]


def test_nginx_and_its_configuration_agree() -> None:
    chat, nginx = containers_with_nginx()
    assert f"listen {nginx['PortMappings'][0]['ContainerPort']} ssl;" in NGINX_CONF
    assert f"server 127.0.0.1:{chat['PortMappings'][0]['ContainerPort']};" in NGINX_CONF
    assert len(NGINX_CONF.encode()) <= 4096, "a parameter of CloudFormation holds no more"


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder where the container has its files, too."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_nginx_takes_what_its_container_is_handed(memory: Path) -> None:
    """The container's command as it is, a folder deeper; nginx checks all and does not serve."""
    environ = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    require(shutil.which("nginx", path=environ["PATH"]) is not None, "nginx")
    certificate, key = tls.make_self_signed(["chat.example.com"])
    nginx = containers_with_nginx()[1]
    command = [*nginx["EntryPoint"], *nginx["Command"]]
    command[-1] = command[-1].replace("/dev/shm", str(memory)).replace("exec nginx", "nginx -t")
    given = {"NGINX_CONF": NGINX_CONF, "CERTIFICATE": certificate.decode(), "KEY": key.decode()}
    done = subprocess.run(
        command, env=environ | given, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "successful" in done.stderr
    assert stat.S_IMODE((memory / "key.pem").stat().st_mode) == 0o600
    assert "/tmp/" not in (memory / "nginx.conf").read_text()
