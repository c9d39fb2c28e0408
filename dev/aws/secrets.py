"""`make secrets`: the Okta values and the app's own key, into Secrets Manager."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from . import cli, okta
from .cli import AwsError, Failure
from .place import Place, setting


def store(place: Place) -> None:
    """Put both secrets where tasks get them from, the app's own key only if it isn't there."""
    values = okta.values()
    cli.say(f"Okta's values, for {values[okta.ISSUER]}, go into the secret {place.okta_secret}")
    put(place, place.okta_secret, values)
    if arn(place.app_secret) and not setting("ROTATE"):
        cli.say(f"The app's own key is in the secret {place.app_secret} and stays (ROTATE=1: anew)")
    else:
        cli.say(f"The app's own key is made, and goes into the secret {place.app_secret}")
        put(place, place.app_secret, {"SECRET_KEY": secrets.token_hex(32)})
    cli.say("Tasks read both as they start: make run-task or make deploy starts new ones.")


def put(place: Place, name: str, values: Mapping[str, str]) -> None:
    """Create a secret, or give it a new version; the values go to `aws` on its standard input."""
    command = ["put-secret-value", "--secret-id", name]
    if not arn(name):
        tags = [f"Key={tag['Key']},Value={tag['Value']}" for tag in place.tags()]
        command = ["create-secret", "--name", name, "--tags", *tags]
    cli.do("secretsmanager", *command, secret=json.dumps(values))


def arn(name: str) -> str | None:
    """A secret's ARN; None where there is none."""
    try:
        found = cli.ask("secretsmanager", "describe-secret", "--secret-id", name)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    if "DeletedDate" in found:
        mend = f"aws secretsmanager restore-secret --secret-id {name}"
        raise Failure(f"the secret {name} is to be deleted; keep it: {mend}")
    return str(found["ARN"])


def required(name: str) -> str:
    """A secret's ARN; raises `Failure` where there is none."""
    found = arn(name)
    if not found:
        raise Failure(f"there is no secret {name} yet: run make secrets")
    return found


def remove(place: Place) -> None:
    for name in (place.okta_secret, place.app_secret):
        if arn(name):
            at_once = "--force-delete-without-recovery"
            cli.do("secretsmanager", "delete-secret", "--secret-id", name, at_once)
