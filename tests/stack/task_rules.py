"""What must hold of a task definition on Fargate, for the demo's and for the stack's alike.

ECS takes most of these faults; the task then fails to start, or does worse. Each rule yields what
is wrong, in a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from chat.config import Settings
from tests.stack.template import text_of

Json = dict[str, Any]

# What the app reads: its settings, and what libpq reads for it.
KNOWN = {field.name.upper() for field in fields(Settings)} | {"OKTA_DOMAIN", "PGPASSWORD"}
SECRET = {
    "OKTA_OAUTH2_CLIENT_SECRET",
    "SECRET_KEY",
    "METRICS_TOKEN",
    "PGPASSWORD",
}
# Memory by CPU that Fargate sells: least and most, in MiB.
SIZES = {256: (512, 2048), 512: (1024, 4096), 1024: (2048, 8192)}
MAX_STOP_S = 120  # Fargate's
APP_STOPS_IN_S = 10  # gunicorn's graceful_timeout
LOG_OPTIONS = {
    "awslogs-group",
    "awslogs-region",
    "awslogs-stream-prefix",
    "mode",
    "max-buffer-size",
}


def problems(task: Json) -> list[str]:
    """What is wrong with a task definition, as ECS's interface has it (camelCase)."""
    found = list(_whole(task))
    for container in task["containerDefinitions"]:
        rules = (_confined, _stops, _health, _log, _mounts, _order, _secrets)
        for rule in rules:
            found += [f"{container['name']}: {line}" for line in rule(container, task)]
    chat = app(task)
    return found + [f"chat: {line}" for rule in (_ports, _settings) for line in rule(chat)]


def app(task: Json) -> Json:
    return next(each for each in task["containerDefinitions"] if each["name"] == "chat")


def environment(container: Json) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in container.get("environment", [])}


def ports(container: Json) -> set[int]:
    return {mapping["containerPort"] for mapping in container.get("portMappings", [])}


def _whole(task: Json) -> Iterator[str]:
    if not task.get("executionRoleArn"):
        yield "no execution role: ECS could read no secret and write no log"
    if not task.get("taskRoleArn"):
        yield "no task role"
    if task.get("networkMode") != "awsvpc" or task.get("requiresCompatibilities") != ["FARGATE"]:
        yield "not for Fargate"
    if "cpuArchitecture" not in task.get("runtimePlatform", {}):
        yield "no architecture"
    if isinstance(task["cpu"], str) and task["cpu"].isdigit():
        least, most = SIZES.get(int(task["cpu"]), (0, 0))
        if not least <= int(task["memory"]) <= most:
            yield f"Fargate has no {task['memory']} MiB with CPU {task['cpu']}"
        reserved = sum(each["memoryReservation"] for each in task["containerDefinitions"])
        if reserved > int(task["memory"]):
            yield f"containers reserve {reserved} of {task['memory']} MiB"
    mounted = {
        mount["sourceVolume"]
        for container in task["containerDefinitions"]
        for mount in container.get("mountPoints", [])
    }
    for volume in task.get("volumes", []):
        if volume["name"] not in mounted:
            yield f"volume {volume['name']} is mounted nowhere"


def _confined(container: Json, _: Json) -> Iterator[str]:
    linux = container.get("linuxParameters", {})
    if not container.get("readonlyRootFilesystem"):
        yield "its root can be written"
    if container.get("user", "0").partition(":")[0] in ("0", "root"):
        yield "runs as root"
    if container.get("privileged") or linux.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    for name in linux.keys() & {"tmpfs", "sharedMemorySize", "devices", "swappiness", "maxSwap"}:
        yield f"Fargate has no {name}"
    if linux.get("initProcessEnabled"):
        yield "the server is not the first process"
    if [limit["name"] for limit in container.get("ulimits", [])] != ["nofile"]:
        yield "Fargate sets the limit nofile, which must be said, and no other"


def _stops(container: Json, _: Json) -> Iterator[str]:
    stop = container.get("stopTimeout")
    if stop is None:
        yield "no stopTimeout"
    elif stop > MAX_STOP_S:
        yield f"stopTimeout {stop} is over Fargate's {MAX_STOP_S}"
    elif stop <= APP_STOPS_IN_S:
        yield f"stopTimeout {stop} leaves no time to end by itself"


def _health(container: Json, _: Json) -> Iterator[str]:
    check = container.get("healthCheck")
    if not check:
        yield "no health check: ECS does not read the image's"
        return
    if check["command"][0] not in ("CMD", "CMD-SHELL"):
        yield "a health command begins with CMD or CMD-SHELL"
    if check["timeout"] >= check["interval"]:
        yield f"health timeout {check['timeout']} is not under the interval {check['interval']}"
    limits = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
    for name, (least, most) in limits.items():
        if not least <= check.get(name, least) <= most:
            yield f"health {name} is outside {least} to {most}"


def _log(container: Json, _: Json) -> Iterator[str]:
    log = container.get("logConfiguration", {})
    if log.get("logDriver") != "awslogs":
        yield "no awslogs"
        return
    options = log["options"]
    if options.get("mode") != "non-blocking":
        yield "a log that can't be delivered would stop it"
    for name in options.keys() ^ LOG_OPTIONS:
        yield f"log option {name}"


def _mounts(container: Json, task: Json) -> Iterator[str]:
    volumes = {volume["name"] for volume in task.get("volumes", [])}
    for mount in container.get("mountPoints", []):
        if mount["sourceVolume"] not in volumes:
            yield f"there is no volume {mount['sourceVolume']}"
        if mount["containerPath"] not in ("/tmp", "/data"):
            yield f"the image declares no volume {mount['containerPath']}: it would be root's"


def _order(container: Json, task: Json) -> Iterator[str]:
    others = {each["name"] for each in task["containerDefinitions"]}
    for need in container.get("dependsOn", []):
        if need["containerName"] not in others:
            yield f"waits for {need['containerName']}, which there is not"
        elif need["containerName"] == "chat":
            yield f"{container['name']} depends on chat: it is stopped first, and cuts people"


def _secrets(container: Json, _: Json) -> Iterator[str]:
    for secret in container.get("secrets", []):
        name, value = secret["name"], text_of(secret["valueFrom"])
        arn, *parts = value.rsplit(":", 3)
        if not arn.endswith("}") or len(parts) != 3 or not parts[0] or parts[1:] != ["", ""]:
            yield f"secret {name} is not SECRET:KEY::"
        elif "OKTA" in name and parts[0] != name:
            yield f"secret {name} is taken from {parts[0]}"


def _ports(chat: Json) -> Iterator[str]:
    given = environment(chat)
    said = {int(given[name]) for name in ("PORT", "REDIRECT_PORT") if name in given}
    if ports(chat) != said:
        yield f"listens on {sorted(said)}, but maps {sorted(ports(chat))}"
    opened = {(each["namespace"], each["value"]) for each in chat.get("systemControls", [])}
    lowest = min(said, default=65_535)
    if lowest < 1024 and ("net.ipv4.ip_unprivileged_port_start", "0") not in opened:
        yield f"its user can't listen on {lowest}"


def _settings(chat: Json) -> Iterator[str]:
    given = environment(chat)
    secrets = [secret["name"] for secret in chat.get("secrets", [])]
    for name in [*given, *secrets]:
        if name not in KNOWN:
            yield f"{name} is no setting of the app"
    for name in given.keys() & (SECRET | set(secrets)):
        yield f"{name} belongs to the secrets alone"
    for name in given.keys() & {"CHAT_ENV"}:
        yield f"{name}: production is the default, and nothing else is served"
    if given.get("TLS") != "self-signed" and "TLS_CERT_FILE" not in given:
        yield "serves no TLS"
    if ("PUBLIC_URL" in given) == (given.get("URL_FROM_HOST") == "1"):
        yield "needs either PUBLIC_URL or URL_FROM_HOST"
