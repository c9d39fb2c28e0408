"""moto's server, with what it lacks for this project: `python -m tests.deploy.moto_server -p PORT`.

Runs in an environment that has moto; no test imports it. Two settings of the environment:

`MOTO_ECR_REGISTRY=host:port`   the registry that ECR's answers name, instead of one at AWS
`MOTO_PUBLIC_IP=10.77.0.2`      the address of a task that asked for a public one; else made up
"""

from __future__ import annotations

import os
import sys

from moto.moto_api import state_manager
from moto.server import main

from tests.deploy.aws import answers, endings, engine, resources, stack_type, types

# moto stops a task after a few looks at it. A task of ours runs until it is stopped.
MANY_LOOKS = 1_000_000


def serve(arguments: list[str]) -> None:
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": MANY_LOOKS})
    stack_type.register(types)
    engine.mend()
    resources.mend()
    endings.mend()
    answers.fill_ecs(public_ip=os.environ.get("MOTO_PUBLIC_IP"))
    if registry := os.environ.get("MOTO_ECR_REGISTRY"):
        answers.point_ecr_to(registry)
    main(arguments)


if __name__ == "__main__":
    serve(sys.argv[1:])
