"""The Makefile's AWS targets, run as someone at a terminal would, against moto.

Each test has a NAME of its own, so that it begins from nothing in an account that all share.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.deploy.conftest import Moto
from tests.servers import ROOT, require, wait_for

REGION = "eu-central-1"
TREE = ("chat", "deploy", "dev")
BIN = Path(sys.executable).parent
DEMO = ["run-task", "url", "status", "logs", "stop"]
TARGETS = ["secrets", *DEMO, "deploy", "rollback", "destroy"]
RUN_S = 120.0
SECRET = "hush-4711"
OKTA = {
    "OKTA_DOMAIN": "dev-1.okta.com",
    "OKTA_OAUTH2_CLIENT_ID": "0oa1",
    "OKTA_OAUTH2_CLIENT_SECRET": SECRET,
}
LINES = "".join(f"{name}={value}\n" for name, value in OKTA.items())
STORED = {
    "OKTA_OAUTH2_ISSUER": "https://dev-1.okta.com/oauth2/default",
    "OKTA_OAUTH2_CLIENT_ID": "0oa1",
    "OKTA_OAUTH2_CLIENT_SECRET": SECRET,
}
numbers = count(1)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


def image(letter: str) -> str:
    return f"123456789012.dkr.ecr.{REGION}.amazonaws.com/commons@sha256:{letter * 64}"


@dataclass(frozen=True)
class Ran:
    """A `make` that has ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that says what is wrong; there must be no other, make's own aside."""
        assert self.code != 0, self.out
        lines = [line for line in self.err.splitlines() if not line.startswith("make: ***")]
        assert len(lines) == 1, self.err
        return lines[0].partition(": ")[2]


@dataclass
class Terminal:
    """Someone's clone and settings; `name` is what all of theirs is called at AWS."""

    tree: Path
    environ: dict[str, str]
    name: str
    bin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.bin = self.tree / "bin"
        self.bin.mkdir()
        self.environ |= {"NAME": self.name, "PATH": f"{self.bin}:{self.environ['PATH']}"}

    def argv(self, *words: str) -> list[str]:
        # The virtual environment is that of the tests, and nothing is to be installed.
        return ["make", "-o", ".venv/.run", f"BIN={BIN}", *words]

    def make(self, *words: str, given: str = "", **settings: str) -> Ran:
        done = subprocess.run(
            self.argv(*words),
            cwd=self.tree,
            env=self.environ | settings,
            input=given,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def done(self, *words: str, given: str = "", **settings: str) -> str:
        """What a target prints that does what it should."""
        ran = self.make(*words, given=given, **settings)
        assert ran.code == 0, ran.out + ran.err
        return ran.out

    def aws(self, service: str) -> Any:
        """What there is at AWS, asked without the tools under test."""
        return boto3.client(
            service,
            endpoint_url=self.environ["AWS_ENDPOINT_URL"],
            region_name=self.environ["AWS_REGION"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def pushed(self, letter: str) -> None:
        """As `make push` leaves it."""
        (self.tree / "instance").mkdir(exist_ok=True)
        record = {"image": image(letter), "tag": letter * 40}
        (self.tree / "instance/image.json").write_text(json.dumps(record))

    def secret(self, which: str) -> dict[str, str]:
        found = self.aws("secretsmanager").get_secret_value(SecretId=f"{self.name}/{which}")
        return dict(json.loads(found["SecretString"]))

    def put_before_aws(self, code: str) -> None:
        """A program of the test's before the real `aws`: it goes on to that unless it exits."""
        script = f"""#!{sys.executable}
import json, os, pathlib, sys
words = sys.argv[1:]
{code}
os.execv({real_aws()!r}, [{real_aws()!r}, *words])
"""
        (self.bin / "aws").write_text(script)
        (self.bin / "aws").chmod(0o755)


def real_aws() -> str:
    found = shutil.which("aws", path=f"{BIN}:{os.environ['PATH']}")
    require(found is not None, "the AWS CLI")
    return str(found)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings that lead to an empty account, and to nothing of the developer's own."""
    real_aws()
    server = Moto(tmp_path_factory.mktemp("moto"), "registry.example.com")
    server.start()
    yield {
        "PATH": f"{Path(real_aws()).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "LC_ALL": "C.UTF-8",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,  # for the tests' own use of version 1
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    server.stop()


Sit = Callable[[], Terminal]


@pytest.fixture(scope="module")
def sit(account: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Sit:
    def sit() -> Terminal:
        tree = tmp_path_factory.mktemp("clone")
        for part in TREE:
            left_out = shutil.ignore_patterns("__pycache__", "static", "vendor")
            shutil.copytree(ROOT / part, tree / part, ignore=left_out)
        shutil.copy2(ROOT / "Makefile", tree)
        return Terminal(tree, dict(account), f"chat{next(numbers)}")

    return sit


@pytest.fixture
def terminal(sit: Sit) -> Terminal:
    return sit()


@pytest.fixture
def stored(terminal: Terminal) -> Terminal:
    """A terminal whose secrets are in place, and whose image was pushed."""
    terminal.done("secrets", **OKTA)
    terminal.pushed("a")
    return terminal


def test_help_lists_each_target(terminal: Terminal) -> None:
    said = terminal.done("help")
    for target in TARGETS:
        assert re.search(rf"^ +make {target} +\S", said, re.MULTILINE), target


# What is missing is one line


@pytest.mark.parametrize("target", TARGETS)
def test_without_the_aws_cli(terminal: Terminal, target: str) -> None:
    # make itself is found by its whole path, and its recipes name theirs
    make = shutil.which("make") or "make"
    argv = [make, *terminal.argv(target)[1:]]
    environ = terminal.environ | {"PATH": str(terminal.bin)}
    done = subprocess.run(
        argv, cwd=terminal.tree, env=environ, capture_output=True, text=True, check=False
    )
    assert "there is no `aws` on PATH" in Ran(done.returncode, done.stdout, done.stderr).line


def test_without_a_region(terminal: Terminal) -> None:
    ran = terminal.make("status", AWS_REGION="", AWS_DEFAULT_REGION="")
    assert ran.line.startswith("no AWS region is set")


def test_a_region_of_the_aws_configuration_will_do(terminal: Terminal) -> None:
    config = terminal.tree / "config"
    config.write_text("[default]\nregion = us-west-2\n")
    settings = {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": str(config)}
    assert "region us-west-2" in terminal.done("status", **settings)


def test_the_region_is_known_to_version_1_too(terminal: Terminal) -> None:
    del terminal.environ["AWS_DEFAULT_REGION"]
    assert "region eu-west-1" in terminal.done("status", AWS_REGION="eu-west-1")


def test_without_credentials(terminal: Terminal) -> None:
    del terminal.environ["AWS_ACCESS_KEY_ID"], terminal.environ["AWS_SECRET_ACCESS_KEY"]
    assert terminal.make("status").line.startswith("no AWS credentials were found")


@pytest.fixture
def refusing() -> Iterator[Callable[[str], str]]:
    """Starts an AWS that refuses everything with an error's code; gives its URL."""
    started: list[ThreadingHTTPServer] = []

    def refusing(code: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                error = f"<Error><Code>{code}</Code><Message>No, {code}</Message></Error>"
                body = f"<ErrorResponse>{error}</ErrorResponse>".encode()
                self.send_response(403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield refusing
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("ExpiredToken", "the AWS credentials have expired"),
        ("InvalidClientTokenId", "AWS does not take these credentials"),
        ("AccessDenied", "aws sts get-caller-identity: No, AccessDenied"),
    ],
)
def test_when_aws_refuses(
    terminal: Terminal, refusing: Callable[[str], str], code: str, line: str
) -> None:
    ran = terminal.make("status", AWS_ENDPOINT_URL=refusing(code))
    assert ran.line.startswith(line)


def test_when_aws_is_away(terminal: Terminal) -> None:
    nobody = f"http://127.0.0.1:{servers.free_port()}"
    assert terminal.make("status", AWS_ENDPOINT_URL=nobody).line.startswith("AWS can't be reached")


@pytest.mark.parametrize(
    "words",
    [
        "Error loading SSO Token: Token for work does not exist",
        "aws: [ERROR]: Error when retrieving token from sso: Token has expired and refresh failed",
    ],
)
def test_when_single_sign_on_has_run_out(terminal: Terminal, words: str) -> None:
    """Version 2's words, as no moto signs anyone on."""
    terminal.put_before_aws(f"print(file=sys.stderr); sys.exit({words!r})")
    assert terminal.make("status").line.startswith("the AWS credentials have expired")


@pytest.mark.parametrize("name", ["Commons", "chat_1", "c", "1chat", "chat-", "c" * 26])
def test_a_name_that_not_all_services_take(terminal: Terminal, name: str) -> None:
    assert terminal.make("status", NAME=name).line.startswith(f"NAME='{name}' must be")


@pytest.mark.parametrize("target", ["run-task", "deploy"])
def test_without_an_image(terminal: Terminal, target: str) -> None:
    settings = {"DOMAIN": "chat.example.com", "CERTIFICATE_ARN": "arn:aws:acm:x"}
    terminal.done("secrets", **OKTA)
    assert terminal.make(target, **settings).line == (
        "no image was pushed from here yet: run make push"
    )


@pytest.mark.parametrize("target", ["run-task", "deploy"])
def test_without_secrets(terminal: Terminal, target: str) -> None:
    terminal.pushed("a")
    settings = {"DOMAIN": "chat.example.com", "CERTIFICATE_ARN": "arn:aws:acm:x"}
    assert terminal.make(target, **settings).line == (
        f"there is no secret {terminal.name}/okta yet: run make secrets"
    )


@pytest.mark.parametrize("missing", ["DOMAIN", "CERTIFICATE_ARN"])
def test_deploy_names_what_is_missing(stored: Terminal, missing: str) -> None:
    settings = {"DOMAIN": "chat.example.com", "CERTIFICATE_ARN": "arn:aws:acm:x", missing: " "}
    assert stored.make("deploy", **settings).line.startswith(f"{missing} is not set: ")


def test_run_task_without_a_default_vpc(stored: Terminal) -> None:
    stored.environ |= {"AWS_REGION": "sa-east-1", "AWS_DEFAULT_REGION": "sa-east-1"}
    ec2 = stored.aws("ec2")
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    stored.done("secrets", **OKTA)
    assert stored.make("run-task").line.startswith("this region has no default VPC")


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        ("run-task", "ARCHITECTURE", "sparc"),
        ("logs", "SINCE", "yesterday"),
        ("deploy", "PARAMETERS", "Cpu"),
        ("deploy", "PARAMETERS", "Cpu='512"),
        ("deploy", "PARAMETERS", "cpu=512"),
        ("deploy", "TASKS", "6"),  # more than MaxCount, which AWS sees only at the end
        ("deploy", "TASKS", "two"),
    ],
)
def test_a_setting_that_makes_no_sense(
    stored: Terminal, target: str, name: str, value: str
) -> None:
    settings = {"DOMAIN": "chat.example.com", "CERTIFICATE_ARN": "arn:aws:acm:x", name: value}
    assert stored.make(target, **settings).line.startswith(f"{name}")


def test_what_fargate_does_not_have_is_refused_at_once(stored: Terminal) -> None:
    wanted = {"DOMAIN": "chat.example.com", "CERTIFICATE_ARN": "arn:aws:acm:x"}
    refused = stored.make("deploy", **wanted, PARAMETERS="Memory=4096")
    assert refused.line.startswith("Cpu=256 takes Memory of 512 to 2048, not 4096")


def test_where_nothing_is(terminal: Terminal) -> None:
    assert terminal.make("url").line.startswith("nothing runs here")
    assert terminal.make("logs").line.startswith("nothing has logged here")
    assert terminal.make("rollback").line.endswith("ran no other image before")
    assert terminal.make("stop", SERVICE="1").line == f"there is no service {terminal.name}"
    assert "No demo task runs" in terminal.done("stop")
    said = terminal.done("status")
    assert "no task runs" in said
    assert "there is no stack" in said


# Secrets


@on_linux
def test_no_process_has_a_secret_among_its_arguments(terminal: Terminal) -> None:
    seen = terminal.tree / "seen"
    terminal.put_before_aws(
        f"""
with open({str(seen)!r}, "a") as file:
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            file.write(entry.read_text().replace(chr(0), " ") + chr(10))
        except OSError:
            pass
"""
    )
    said = terminal.done("secrets", given=LINES)
    said += terminal.done("secrets", **OKTA)
    assert terminal.secret("okta") == STORED
    watched = seen.read_text()
    assert f"create-secret --name {terminal.name}/okta" in watched
    assert f"put-secret-value --secret-id {terminal.name}/okta" in watched
    for secret in (SECRET, terminal.secret("app")["SECRET_KEY"]):
        assert secret not in watched
        assert secret not in said


def test_both_secrets_are_made_and_marked(terminal: Terminal) -> None:
    terminal.done("secrets", **OKTA)
    assert terminal.secret("okta") == STORED
    assert re.fullmatch("[0-9a-f]{64}", terminal.secret("app")["SECRET_KEY"])
    for which in ("okta", "app"):
        name = f"{terminal.name}/{which}"
        found = terminal.aws("secretsmanager").describe_secret(SecretId=name)
        assert found["Tags"] == [{"Key": "app", "Value": terminal.name}]


def test_again_updates_oktas_values_and_keeps_the_key(terminal: Terminal) -> None:
    terminal.done("secrets", **OKTA)
    key = terminal.secret("app")
    said = terminal.done("secrets", **OKTA | {"OKTA_OAUTH2_CLIENT_ID": "0oa2"})
    assert terminal.secret("okta") == STORED | {"OKTA_OAUTH2_CLIENT_ID": "0oa2"}
    assert terminal.secret("app") == key
    assert "stays" in said
    terminal.done("secrets", ROTATE="1", **OKTA)
    assert terminal.secret("app") != key


def test_they_come_from_the_file_of_the_okta_cli(terminal: Terminal) -> None:
    (terminal.tree / ".okta.env").write_text(
        f"export OKTA_OAUTH2_ISSUER=https://dev-1.okta.com/oauth2/default\n{LINES}"
    )
    terminal.done("secrets")
    assert terminal.secret("okta") == STORED


def test_standard_input_goes_before_the_file(terminal: Terminal) -> None:
    """Whoever pipes production's values in has the laptop's own beside the app."""
    (terminal.tree / ".okta.env").write_text("OKTA_OAUTH2_ISSUER=https://laptop.example.com\n")
    terminal.done("secrets", given=LINES)
    assert terminal.secret("okta") == STORED


def test_a_whole_environment_leaves_standard_input_alone(terminal: Terminal) -> None:
    """It may be the rest of a script, or a pipe that nobody ever closes."""
    process = subprocess.Popen(
        terminal.argv("secrets"),
        cwd=terminal.tree,
        env=terminal.environ | OKTA,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin
    assert process.wait(RUN_S) == 0
    process.stdin.close()
    assert terminal.secret("okta") == STORED


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"OKTA_DOMAIN": ""}, "OKTA_OAUTH2_ISSUER is not set"),
        ({"OKTA_DOMAIN": "dev-1-admin.okta.com"}, "OKTA_OAUTH2_ISSUER/OKTA_DOMAIN"),
        ({"OKTA_OAUTH2_ISSUER": "http://dev-1.okta.com"}, "OKTA_OAUTH2_ISSUER must be https"),
        ({"OKTA_OAUTH2_CLIENT_ID": " "}, "OKTA_OAUTH2_CLIENT_ID is not set"),
        ({"OKTA_OAUTH2_CLIENT_SECRET": ""}, "OKTA_OAUTH2_CLIENT_SECRET is not set"),
    ],
)
def test_what_the_app_would_refuse_is_refused(
    terminal: Terminal, change: dict[str, str], line: str
) -> None:
    assert terminal.make("secrets", **OKTA | change).line.startswith(line)
    assert left_of(terminal) == set()


def test_a_secret_on_the_command_line_is_refused(terminal: Terminal) -> None:
    given = [f"{name}={value}" for name, value in OKTA.items()]
    line = terminal.make("secrets", *given).line
    assert line.startswith("OKTA_OAUTH2_CLIENT_SECRET stood on the command line")
    assert SECRET not in line


def test_at_a_terminal_one_is_asked_and_the_secret_is_not_shown(terminal: Terminal) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        terminal.argv("secrets"),
        cwd=terminal.tree,
        env=terminal.environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = Screen(ours)
    for question, answer in (
        ("OKTA_OAUTH2_ISSUER: ", STORED["OKTA_OAUTH2_ISSUER"]),
        ("OKTA_OAUTH2_CLIENT_ID: ", "0oa1"),
        ("OKTA_OAUTH2_CLIENT_SECRET: ", SECRET),
    ):
        wait_for(lambda question=question: question in shown.text, RUN_S, question)
        os.write(ours, f"{answer}\n".encode())
    assert process.wait(RUN_S) == 0, shown.text
    assert terminal.secret("okta") == STORED
    assert "0oa1" in shown.text
    assert SECRET not in shown.text
    shown.close()


class Screen:
    """What a terminal shows."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.text = descriptor, ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.descriptor, 4096):
                self.text += data.decode()
        except OSError:
            return  # the other end is gone

    def close(self) -> None:
        self._reader.join()
        os.close(self.descriptor)


# The demo


@dataclass(frozen=True)
class Demo:
    terminal: Terminal
    said: str

    @property
    def name(self) -> str:
        return f"{self.terminal.name}-demo"

    @property
    def task(self) -> dict[str, Any]:
        ecs = self.terminal.aws("ecs")
        (arn,) = ecs.list_tasks(cluster=self.name, desiredStatus="RUNNING")["taskArns"]
        return dict(ecs.describe_tasks(cluster=self.name, tasks=[arn])["tasks"][0])

    @property
    def address(self) -> str:
        found = re.search(r"The demo is at +https://([0-9.]+)/", self.said)
        assert found, self.said
        return found[1]


@pytest.fixture(scope="module")
def demo(sit: Sit) -> Demo:
    """The demo, from nothing: two of the three commands (the test wrote what `push` leaves)."""
    terminal = sit()
    terminal.done("secrets", given=LINES)
    terminal.pushed("a")
    return Demo(terminal, terminal.done("run-task", ARCHITECTURE="ARM64", ALLOWED_GROUPS="chat"))


def test_the_task_is_what_was_pushed(demo: Demo) -> None:
    arn = demo.task["taskDefinitionArn"]
    found = demo.terminal.aws("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    container = found["containerDefinitions"][0]
    assert found["family"] == demo.name
    assert found["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert container["image"] == image("a")
    assert "$" not in json.dumps(found)
    assert {"name": "ALLOWED_GROUPS", "value": "chat"} in container["environment"]
    sources = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert f":secret:{demo.terminal.name}/okta-" in sources["OKTA_OAUTH2_CLIENT_SECRET"]
    assert f":secret:{demo.terminal.name}/app-" in sources["SECRET_KEY"]
    options = container["logConfiguration"]["options"]
    assert (options["awslogs-group"], options["awslogs-region"]) == (f"/{demo.name}", REGION)
    assert SECRET not in json.dumps(found)


def test_the_task_may_read_its_two_secrets_to_start_and_nothing_once_it_runs(demo: Demo) -> None:
    iam, start, task = demo.terminal.aws("iam"), f"{demo.name}-execution", f"{demo.name}-task"
    for role in (start, task):
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    assert iam.list_role_policies(RoleName=task)["PolicyNames"] == []
    assert iam.list_role_policies(RoleName=start)["PolicyNames"] == ["start"]
    policy = iam.get_role_policy(RoleName=start, PolicyName="start")["PolicyDocument"]
    allowed = {
        action: each["Resource"] for each in policy["Statement"] for action in each["Action"]
    }
    secrets = allowed.pop("secretsmanager:GetSecretValue")
    assert len(secrets) == 2
    for which, arn in zip(("okta", "app"), secrets, strict=True):
        assert f":secret:{demo.terminal.name}/{which}-" in arn
    assert allowed.pop("ecr:GetAuthorizationToken") == ["*"]
    for arn in (arn for arns in allowed.values() for arn in arns):
        assert "*" not in arn.removesuffix(":*").replace(":ecr:*:", ""), arn


def test_ports_443_and_80_are_open_and_no_other(demo: Demo) -> None:
    named = [{"Name": "group-name", "Values": [demo.name]}]
    (group,) = demo.terminal.aws("ec2").describe_security_groups(Filters=named)["SecurityGroups"]
    ports = [(each["FromPort"], each["ToPort"]) for each in group["IpPermissions"]]
    assert sorted(ports) == [(80, 80), (443, 443)]


def test_its_log_is_not_kept_for_ever(demo: Demo) -> None:
    logs = demo.terminal.aws("logs")
    (group,) = logs.describe_log_groups(logGroupNamePrefix=f"/{demo.name}")["logGroups"]
    assert group["retentionInDays"] == 14


def test_url_prints_what_okta_has_to_be_told(demo: Demo) -> None:
    said = demo.terminal.done("url")
    base = f"https://{demo.address}"
    assert f"Sign-in redirect URI   {base}/authorization-code/callback\n" in said
    assert f"Sign-out redirect URI  {base}/\n" in said
    assert "another at each make run-task" in said
    details = {each["name"]: each["value"] for each in demo.task["attachments"][0]["details"]}
    (interface,) = demo.terminal.aws("ec2").describe_network_interfaces(
        NetworkInterfaceIds=[details["networkInterfaceId"]]
    )["NetworkInterfaces"]
    assert interface["Association"]["PublicIp"] == demo.address


def test_status_tells_of_the_demo(demo: Demo) -> None:
    said = demo.terminal.done("status")
    assert re.search(r"Demo +RUNNING, health [A-Z]+\n", said)
    assert demo.address in said
    assert image("a") in said


def test_what_is_done_is_shown_before(demo: Demo) -> None:
    lines = demo.said.splitlines()
    starts = next(n for n, line in enumerate(lines) if line.startswith("+ aws ecs run-task"))
    runs = next(n for n, line in enumerate(lines) if "RUNNING" in line)
    assert lines[starts - 1].startswith("The demo task starts")
    assert starts < runs


def test_logs_follow(demo: Demo, tmp_path: Path) -> None:
    logs = demo.terminal.aws("logs")
    stream = {"logGroupName": f"/{demo.name}", "logStreamName": "demo/chat/1"}
    logs.create_log_stream(**stream)

    def log(line: str, age_s: float = 0) -> None:
        at = int((time.time() - age_s) * 1000)
        logs.put_log_events(**stream, logEvents=[{"timestamp": at, "message": line}])

    log("long ago", age_s=3000)
    log("of late", age_s=30)
    out = tmp_path / "out"
    with out.open("w") as file:
        process = subprocess.Popen(
            demo.terminal.argv("logs", "SINCE=10m"),
            cwd=demo.terminal.tree,
            env=demo.terminal.environ,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "of late" in out.read_text(), RUN_S, "the log")
        log("just now")
        wait_for(lambda: "just now" in out.read_text(), RUN_S, "what came later")
        log("and now")
        wait_for(lambda: "and now" in out.read_text(), RUN_S, "what came later still")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(RUN_S)
    said = out.read_text()
    assert "long ago" not in said
    assert [said.count(line) for line in ("of late", "just now", "and now")] == [1, 1, 1]
    assert "Traceback" not in said


def test_again_puts_a_new_task_in_the_place_of_the_old(sit: Sit) -> None:
    """Then it goes: the stop, and the rest."""
    terminal = sit()
    terminal.done("secrets", **OKTA)
    terminal.pushed("a")
    first = Demo(terminal, terminal.done("run-task"))
    arn = first.task["taskArn"]
    terminal.pushed("b")
    second = Demo(terminal, terminal.done("run-task"))
    assert second.task["taskArn"] != arn
    assert "is stopped, and its messages go with it" in second.said
    assert "is stopped" not in first.said
    assert second.address != first.address
    assert image("b") in terminal.done("status")

    assert "is stopped" in terminal.done("stop")
    with pytest.raises(ValueError, match="not enough values"):
        _ = second.task
    assert "Stopped by make" in terminal.done("status")
    assert terminal.make("url").line.startswith("nothing runs here")

    assert {second.name, f"{second.name}-execution"} <= left_of(terminal)
    terminal.done("destroy", CONFIRM=terminal.name)
    assert left_of(terminal) == {f"{terminal.name}/okta", f"{terminal.name}/app"}
    terminal.done("destroy", CONFIRM=terminal.name, ALL="1")
    assert left_of(terminal) == set()


def left_of(terminal: Terminal) -> set[str]:
    """The names of whatever there is of a terminal's own."""
    aws, name = terminal.aws, terminal.name
    ecs = aws("ecs")
    definitions = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    # ECS remembers for a while what is gone.
    clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
    found = [
        *(each["Name"] for each in aws("secretsmanager").list_secrets()["SecretList"]),
        *(each["RoleName"] for each in aws("iam").list_roles()["Roles"]),
        *(each["GroupName"] for each in aws("ec2").describe_security_groups()["SecurityGroups"]),
        *(each["logGroupName"][1:] for each in aws("logs").describe_log_groups()["logGroups"]),
        *(each["repositoryName"] for each in aws("ecr").describe_repositories()["repositories"]),
        *(each["clusterName"] for each in clusters if each["status"] == "ACTIVE"),
        *(arn.split("/")[1] for arn in definitions),
    ]
    return {each for each in found if re.match(rf"{name}(\W|$)", each)}


def test_a_task_that_does_not_stay_is_told_with_ecs_reason(stored: Terminal) -> None:
    why = "CannotPullContainerError: ref does not exist"
    gone = {
        "lastStatus": "DEPROVISIONING",
        "desiredStatus": "STOPPED",
        "stoppedReason": "Essential container in task exited",
        "containers": [{"reason": why, "exitCode": 1}],
    }
    answer = json.dumps({"tasks": [gone]})
    stored.put_before_aws(
        f"if words[:2] == ['ecs', 'describe-tasks']: print({answer!r}); sys.exit()"
    )
    line = stored.make("run-task").line
    assert line.startswith("the task did not stay: ")
    assert why in line
    assert "exit code 1" in line


def test_a_role_that_is_not_known_everywhere_yet_is_waited_for(stored: Terminal) -> None:
    mark, error = stored.tree / "refused", "ECS was unable to assume the role"
    stored.put_before_aws(
        f"""
mark = pathlib.Path({str(mark)!r})
if words[:2] == ["ecs", "run-task"] and not mark.exists():
    mark.touch()
    sys.exit("An error occurred (ClientException) when calling the RunTask operation: {error}")
"""
    )
    said = stored.done("run-task")
    assert mark.exists()
    assert "once more in a few seconds" in said
    assert "The demo is at" in said


# Production


@pytest.fixture(scope="module")
def production(sit: Sit) -> Terminal:
    """The service, from nothing."""
    terminal = sit()
    terminal.done("secrets", **OKTA)
    terminal.pushed("a")
    said = terminal.done("deploy", **address(terminal))
    assert "Sign-in redirect URI   https://chat.example.com/authorization-code/callback\n" in said
    assert "Sign-out redirect URI  https://chat.example.com/\n" in said
    assert "CNAME" in said
    return terminal


def address(terminal: Terminal) -> dict[str, str]:
    """What a first deployment cannot do without."""
    made = terminal.aws("acm").request_certificate(DomainName="chat.example.com")
    return {"DOMAIN": "chat.example.com", "CERTIFICATE_ARN": made["CertificateArn"]}


def parameters(terminal: Terminal) -> dict[str, str]:
    cloudformation = terminal.aws("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=terminal.name)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def service(terminal: Terminal) -> dict[str, Any]:
    stack = terminal.aws("cloudformation").list_stack_resources(StackName=terminal.name)
    (arn,) = [
        each["PhysicalResourceId"]
        for each in stack["StackResourceSummaries"]
        if each["LogicalResourceId"] == "Service"
    ]
    described = terminal.aws("ecs").describe_services(cluster=arn.split("/")[1], services=[arn])
    return dict(described["services"][0])


def running_image(terminal: Terminal) -> str:
    """What the service's own task definition says, not the stack."""
    definition = service(terminal)["taskDefinition"]
    found = terminal.aws("ecs").describe_task_definition(taskDefinition=definition)
    return str(found["taskDefinition"]["containerDefinitions"][0]["image"])


def test_deploy_again_and_back_and_forth(production: Terminal) -> None:
    assert running_image(production) == image("a")
    assert production.make("rollback").line.endswith("ran no other image before")

    production.pushed("b")
    production.done("deploy")
    assert running_image(production) == image("b")
    assert parameters(production)["DomainName"] == "chat.example.com"

    # Deployed anew, it is still the same image that ran before.
    production.done("deploy", TASKS="3")
    (production.tree / "instance/image.json").unlink()
    said = production.done("rollback")
    assert "migrations only go forward" in said
    assert running_image(production) == image("a")
    assert parameters(production)["DesiredCount"] == "3"

    production.done("rollback")
    assert running_image(production) == image("b")


def test_url_and_status_tell_of_production(production: Terminal) -> None:
    said = production.done("url")
    assert "Sign-in redirect URI   https://chat.example.com/authorization-code/callback\n" in said
    assert "Sign-out redirect URI  https://chat.example.com/\n" in said
    told = production.done("status")
    assert re.search(r"Production +stack (CREATE|UPDATE)_COMPLETE\n", told)
    assert running_image(production) in told


def test_settings_become_parameters_and_stay(production: Terminal) -> None:
    production.pushed("c")
    production.done("deploy", ALLOWED_GROUPS="chat", PARAMETERS="Cpu=512 Memory=1024")
    production.pushed("d")
    production.done("deploy")
    now = parameters(production)
    assert (now["AllowedGroups"], now["Cpu"], now["Memory"]) == ("chat", "512", "1024")
    production.done("deploy", ALLOWED_GROUPS="")
    assert parameters(production)["AllowedGroups"] == ""


def test_nothing_new_replaces_the_tasks(production: Terminal) -> None:
    """So that a rotated secret reaches them."""
    production.pushed("e")
    assert "they are replaced" not in production.done("deploy")
    for changed in ({}, {"ALARM_EMAIL": "ops@example.com"}):
        said = production.done("deploy", **changed)
        assert "they are replaced" in said
        assert "--force-new-deployment" in said


def test_stop_leaves_the_service_alone_unless_it_is_meant(production: Terminal) -> None:
    production.pushed("f")
    wanted = service(production)["desiredCount"]
    assert wanted > 0
    assert "Production runs on" in production.done("stop")
    assert service(production)["desiredCount"] == wanted
    production.done("stop", SERVICE="1")
    assert service(production)["desiredCount"] == 0
    assert "it starts again" in production.done("deploy")
    assert service(production)["desiredCount"] == int(parameters(production)["DesiredCount"])


def test_what_cloudformation_refuses_is_one_line(stored: Terminal) -> None:
    nowhere = f"arn:aws:acm:{REGION}:123456789012:certificate/none"
    ran = stored.make("deploy", DOMAIN="chat.example.com", CERTIFICATE_ARN=nowhere)
    assert "certificate" in ran.line


@pytest.mark.parametrize("typed", ["", "yes\n", "COMMONS\n"])
def test_destroy_wants_the_name_typed(demo: Demo, typed: str) -> None:
    ran = demo.terminal.make("destroy", given=typed)
    assert ran.line.startswith("nothing was removed")
    assert "+ aws" not in ran.out
    assert demo.task


def test_destroy_removes_the_stack(sit: Sit) -> None:
    terminal = sit()
    terminal.done("secrets", **OKTA)
    terminal.pushed("a")
    terminal.done("deploy", **address(terminal))
    terminal.done("destroy", given=f"{terminal.name}\n")
    assert "there is no stack" in terminal.done("status")
    assert {f"{terminal.name}/okta", f"{terminal.name}/app"} <= left_of(terminal)
