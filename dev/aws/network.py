"""Where the demo task is reached: the account's default VPC, and a security group in it."""

from __future__ import annotations

import time
from typing import Any

from . import cli
from .cli import AwsError, Failure
from .place import Place

PORTS = (443, 80)
EVERYONE = "0.0.0.0/0"
# A stopped task's network interface holds on to its security group for a while.
RELEASE_S, POLL_S = 180.0, 5.0


def default_subnets() -> tuple[str, list[str]]:
    """The default VPC and its subnets; raises `Failure` where there is none."""
    vpcs = cli.ask("ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true")["Vpcs"]
    if not vpcs:
        raise Failure(
            "this region has no default VPC for the demo task: aws ec2 create-default-vpc makes "
            "one (make deploy brings its own)"
        )
    vpc = vpcs[0]["VpcId"]
    filters = [f"Name=vpc-id,Values={vpc}", "Name=default-for-az,Values=true"]
    subnets = cli.ask("ec2", "describe-subnets", "--filters", *filters)["Subnets"]
    if not subnets:
        raise Failure(f"the default VPC {vpc} has no default subnet: aws ec2 create-default-subnet")
    return vpc, [subnet["SubnetId"] for subnet in subnets]


def security_group(place: Place, vpc: str) -> str:
    """The id of the demo's security group, made and opened as far as it isn't yet."""
    cli.say(f"Ports 443 and 80 of the task are open to everyone: security group {place.demo}")
    found = _find(place)
    group = found["GroupId"] if found else _create(place, vpc)
    there = found["IpPermissions"] if found else []
    for port in PORTS:
        if port not in {permission.get("FromPort") for permission in there}:
            _open(group, port)
    return str(group)


def remove(place: Place) -> None:
    """Remove the security group, as soon as the stopped task has let go of it."""
    found = _find(place)
    deadline = time.monotonic() + RELEASE_S
    while found:
        try:
            cli.do("ec2", "delete-security-group", "--group-id", found["GroupId"])
            return
        except AwsError as error:
            if error.code != "DependencyViolation" or time.monotonic() > deadline:
                raise
        cli.say("  Its task still holds it; once more in a few seconds")
        time.sleep(POLL_S)


def _find(place: Place) -> dict[str, Any] | None:
    by_name = f"Name=group-name,Values={place.demo}"
    groups = cli.ask("ec2", "describe-security-groups", "--filters", by_name)["SecurityGroups"]
    return dict(groups[0]) if groups else None


def _create(place: Place, vpc: str) -> str:
    group = {
        "GroupName": place.demo,
        "Description": "HTTPS, and HTTP that leads there, to the demo task",
        "VpcId": vpc,
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": place.tags()}],
    }
    return str(cli.do("ec2", "create-security-group", document=group)["GroupId"])


def _open(group: str, port: int) -> None:
    where = ["--protocol", "tcp", "--port", str(port), "--cidr", EVERYONE]
    cli.do("ec2", "authorize-security-group-ingress", "--group-id", group, *where)
