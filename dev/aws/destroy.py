"""`make destroy` and `make stop`: less of it, down to nothing."""

from __future__ import annotations

from . import cli, deploy, network, roles, secrets, service, stack, task
from .cli import AwsError, Failure
from .place import Place, setting

GONE = {"ClusterNotFoundException", "ResourceNotFoundException", "RepositoryNotFoundException"}


def stop(place: Place) -> None:
    """Stop the demo's task. Production goes on, unless SERVICE=1 says that it is meant."""
    if setting("SERVICE"):
        if not service.stop(place):
            raise Failure(f"there is no service {place.name}")
        return
    if not task.stop(place):
        cli.say("No demo task runs.")
    if stack.find(place):
        cli.say("Production runs on (SERVICE=1: its tasks are stopped).")


def destroy(place: Place) -> None:
    """Remove the demo and the stack, after a question; with ALL=1 secrets and images too."""
    everything = setting("ALL") is not None
    confirm(place, everything=everything)
    remove_demo(place)
    remove_stack(place)
    if everything:
        cli.say(f"The secrets {place.okta_secret} and {place.app_secret} go")
        secrets.remove(place)
        cli.say(f"The images in the repository {place.name} go")
        named = ["--repository-name", place.name, "--force"]
        quietly("ecr", "delete-repository", *named)
    snapshots(place)


def confirm(place: Place, *, everything: bool) -> None:
    """Have the name typed; raises `Failure` if it wasn't."""
    cli.say(
        f"""
This removes from account {place.account}, region {place.region}:
  the demo       {place.demo}: its task with all messages, log, roles, security group
  the stack      {place.name}: service, load balancer, database; a snapshot and the log stay
  the secrets    {"too" if everything else "stay (ALL=1: they go)"}
  the images     {"too" if everything else "stay (ALL=1: they go)"}
"""
    )
    typed = setting("CONFIRM")
    if typed is None:
        try:
            typed = input(f"To remove it, type its name ({place.name}): ").strip()
        except (EOFError, KeyboardInterrupt):
            typed = ""
    if typed != place.name:
        raise Failure(f"nothing was removed: {place.name} was not typed (nor CONFIRM={place.name})")


def remove_demo(place: Place) -> None:
    cli.say(f"The demo {place.demo} goes")
    task.stop(place)
    network.remove(place)
    definitions = ["--family-prefix", place.demo, "--status", "ACTIVE"]
    for arn in cli.ask("ecs", "list-task-definitions", *definitions)["taskDefinitionArns"]:
        if f"/{place.demo}:" in arn:  # a prefix: other names begin with it too
            cli.do("ecs", "deregister-task-definition", "--task-definition", arn)
    quietly("ecs", "delete-cluster", "--cluster", place.demo)
    roles.remove(place)
    quietly("logs", "delete-log-group", "--log-group-name", place.demo_logs)


def remove_stack(place: Place) -> None:
    found = stack.find(place)
    if not found:
        cli.say(f"There is no stack {place.name}")
        return
    cli.say(f"The stack {place.name} goes; about ten minutes, most of it for the database")
    cli.do("cloudformation", "delete-stack", "--stack-name", place.name)
    # By its id: a stack that is gone is not found by its name.
    gone = ["cloudformation", "wait", "stack-delete-complete", "--stack-name", found.id]
    deploy.changing(place, *gone)


def snapshots(place: Place) -> None:
    """Name what is left of the database, and how it goes too."""
    for snapshot in cli.ask("rds", "describe-db-snapshots")["DBSnapshots"]:
        name = snapshot["DBSnapshotIdentifier"]
        if name.startswith(f"{place.name}-") and snapshot.get("SnapshotType") == "manual":
            cli.say(f"The database's snapshot {name} stays, and costs: to remove it,")
            cli.say(f"  aws rds delete-db-snapshot --db-snapshot-identifier {name}")


def quietly(*command: str) -> None:
    """Remove what may not be there."""
    try:
        cli.do(*command)
    except AwsError as error:
        if error.code not in GONE:
            raise
        cli.say("  (there is none)")
