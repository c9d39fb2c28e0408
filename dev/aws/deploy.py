"""`make deploy` and `make rollback`: production, as `deploy/stack.yaml` has it."""

from __future__ import annotations

import shlex

from . import cli, place, roles, secrets, service, stack, urls
from .cli import AwsError, Failure
from .place import DEPLOY, ROOT, Place, setting
from .stack import Stack

REQUIRED = {
    "DOMAIN": ("DomainName", "the name that people will open, DOMAIN=chat.example.com"),
    "CERTIFICATE_ARN": (
        "CertificateArn",
        "that of a certificate for DOMAIN, from: aws acm request-certificate",
    ),
}
OPTIONAL = {
    "HOSTED_ZONE_ID": "HostedZoneId",
    "TASKS": "DesiredCount",
    "NGINX_IMAGE": "NginxImage",
    "NGINX_TLS_SECRET_ARN": "NginxTlsSecretArn",
    "ALARM_EMAIL": "AlarmEmail",
    "ALLOWED_GROUPS": "AllowedGroups",
    "OKTA_OAUTH2_SCOPES": "OktaScopes",
}


def deploy(where: Place) -> None:
    """Bring the stack to the image that was pushed last; raises `Failure`."""
    before = stack.find(where)
    if before and before.status == "ROLLBACK_COMPLETE":
        raise Failure("the first deployment failed and can't be mended: make destroy, then again")
    parameters = overrides(where, before)
    running = service.find(where) if before else None
    roles.service_linked()
    cli.say(f"The stack {where.name} runs {parameters['Image']}")
    cli.say("A first deployment takes a quarter of an hour, another a few minutes")
    changing(
        where,
        *["cloudformation", "deploy", "--stack-name", where.name, "--tags", f"app={where.name}"],
        *["--template-file", str((DEPLOY / "stack.yaml").relative_to(ROOT))],
        *["--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset"],
        *["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())],
    )
    after = stack.find(where)
    if not after:
        raise Failure(f"the stack {where.name} is gone again")
    tasks = int(after.parameters["DesiredCount"])
    service.start(where, tasks, before=running["taskDefinition"] if running else None)
    tell(where, after)


def rollback(where: Place) -> None:
    """Bring the stack back to the image that it had before, whoever deployed it from where."""
    found = stack.find(where)
    previous = found.parameters.get("PreviousImage") if found else None
    if not found or not previous:
        raise Failure(f"the stack {where.name} ran no other image before")
    cli.say(f"The stack {where.name} goes back to {previous}")
    cli.say(f"It ran {found.parameters['Image']}: another make rollback returns to that.")
    cli.say("The database stays as it is: migrations only go forward.")
    said = {"Image": previous, "PreviousImage": found.parameters["Image"]}
    kept = found.parameters.keys() - said
    request = {
        "StackName": where.name,
        "UsePreviousTemplate": True,
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [
            *({"ParameterKey": key, "ParameterValue": value} for key, value in said.items()),
            *({"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)),
        ],
    }
    cli.do("cloudformation", "update-stack", document=request)
    changing(where, "cloudformation", "wait", "stack-update-complete", "--stack-name", where.name)
    tell(where, stack.find(where) or found)


def overrides(where: Place, before: Stack | None) -> dict[str, str]:
    """The stack's parameters. What isn't given stays as it was; given but empty, it is taken away.

    The image that runs is kept in a parameter too: that is all that a rollback needs, and a
    deployment that CloudFormation takes back takes it back with the rest.
    """
    had, defaults = before.parameters if before else {}, stack.template_parameters()
    image = place.image()
    running, previous = had.get("Image", ""), had.get("PreviousImage", "")
    said = {"Image": image, "PreviousImage": previous if running == image else running}
    for name, (parameter, what) in REQUIRED.items():
        if value := setting(name):
            said[parameter] = value
        elif not had.get(parameter):
            raise Failure(f"{name} is not set: {what}")
    for name, parameter in OPTIONAL.items():
        if (given := place.given(name)) is not None:
            said[parameter] = given or defaults[parameter]
    said["Architecture"] = place.architecture()
    said |= further()
    require_fitting({**defaults, **had, **said})
    said["OktaSecretArn"] = secrets.required(where.okta_secret)
    said["AppSecretArn"] = secrets.required(where.app_secret)
    said["NginxConf"] = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    return said


def require_fitting(parameters: dict[str, str]) -> None:
    """Raise `Failure` for what AWS would refuse only after a quarter of an hour."""
    tasks, most = parameters["DesiredCount"], parameters["MaxCount"]
    if not tasks.isdecimal() or int(tasks) > int(most):
        raise Failure(f'TASKS={tasks} must be a number up to {most} (PARAMETERS="MaxCount=…")')
    cpu, memory = int(parameters["Cpu"]), int(parameters["Memory"])
    if not 2 * cpu <= memory <= 8 * cpu:
        raise Failure(
            f"Cpu={cpu} takes Memory of {2 * cpu} to {8 * cpu}, not {memory}: "
            f'PARAMETERS="Cpu={cpu} Memory={2 * cpu}"'
        )


def changing(where: Place, *command: str) -> None:
    """Run a command that changes the stack; raises `Failure` with what CloudFormation says."""
    try:
        cli.follow(*command)
    except AwsError as error:
        if "No updates are to be performed" in str(error):
            return
        reasons = stack.failures(where) if stack.find(where) else []
        for line in reasons:
            cli.say(f"  {line}")
        if reasons:
            raise Failure("CloudFormation could not do it, for the reasons above") from None
        raise


def further() -> dict[str, str]:
    """Any other parameter of the stack: PARAMETERS="Cpu=512 Memory=1024"."""
    try:
        words = shlex.split(setting("PARAMETERS") or "")
        pairs = dict(word.split("=", 1) for word in words)
    except ValueError:
        raise Failure('PARAMETERS must be like PARAMETERS="Cpu=512 Memory=1024"') from None
    # `aws cloudformation deploy` would pass over a name that the template does not have.
    for key in pairs.keys() - stack.template_parameters().keys():
        raise Failure(f"PARAMETERS: deploy/stack.yaml has no parameter {key}")
    return pairs


def tell(where: Place, found: Stack) -> None:
    cli.say("")
    for key, value in sorted(found.outputs.items()):
        cli.say(f"  {key:<20} {value}")
    if url := urls.production_url(where):
        urls.tell("Production", url)
    if not found.parameters.get("HostedZoneId"):
        cli.say("\n  Let the name lead to the load balancer above: a CNAME record at your DNS.")
