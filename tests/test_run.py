"""What `make run` and `make run-tls` promise, asked of `python -m dev.run` as it runs.

It reads `.okta.env` and writes `instance/` beside itself. So it runs in a copy of the tree: none of
the developer's settings come in, and no certificate of a test's goes out.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol, Self

import httpx
import pytest
from cryptography import x509

from tests import servers
from tests.cast import Arrive, forms
from tests.raw import connected
from tests.servers import ROOT, START_S, App, wait_for

STOPS_WITHIN_S = 5.0
REFUSES_WITHIN_S = 15.0
PARTS = ["chat", "dev", "migrations", "wsgi.py", "gunicorn.conf.py"]
ISSUER, CLIENT_ID = "OKTA_OAUTH2_ISSUER", "OKTA_OAUTH2_CLIENT_ID"
CLIENT_SECRET = "OKTA_OAUTH2_CLIENT_SECRET"
CHAT, MOCK = "gunicorn", "oidc_provider_mock"

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux's /proc tells which processes are a run's"
)


class Run(App):
    """`dev.run` as a terminal's foreground job, in a tree of its own."""

    def __init__(self, tree: Path, folder: Path, *arguments: str, **settings: str) -> None:
        ports = {
            "PORT": str(servers.free_port()),
            "MOCK_PORT": str(servers.free_port()),
            **({"REDIRECT_PORT": str(servers.free_port())} if "--tls" in arguments else {}),
        }
        given = ports | settings
        port = int(given["PORT"]) if given["PORT"].isdigit() else 0
        super().__init__(folder, port, given)
        # What tests give to an app by itself, nobody gives to `make run`.
        for name in ("CHAT_ENV", "SECRET_KEY", "RATE_MESSAGES", "RATE_EVENTS", "RATE_SIGN_IN"):
            if name not in settings:
                del self.environ[name]
        self.mark = f"RUN={uuid.uuid4().hex}"
        self.environ["RUN"] = self.mark.removeprefix("RUN=")
        self.url = f"{'https' if '--tls' in arguments else 'http'}://localhost:{port}"
        self.name, self.log_file = f"run-{port}", folder / f"run-{self.environ['RUN']}.log"
        self.argv = [sys.executable, "-m", "dev.run", *arguments]
        self.tree = tree
        self.first_certificate = b""

    def launch(self) -> Self:
        """Start it, and wait for nothing."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                cwd=self.tree,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        servers.running.append(self)
        return self

    def start(self) -> Self:
        """Start it, and wait until it has said that it runs."""
        self.launch()
        wait_for(self._is_up, START_S, f"{self.name} to say that it runs\n{self.log}")
        return self

    def ready(self) -> bool:
        return "Ctrl-C" in self.log

    def ends(self, seconds: float) -> int:
        """Wait for its end; returns its exit status."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"runs on after {seconds:g} s, with {self.processes()}")

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT to all of the foreground job."""
        os.killpg(self.pid, signal.SIGINT)

    def refusal(self) -> str:
        """The one line with which it ends instead of starting, leaving nothing behind."""
        assert self.launch().ends(REFUSES_WITHIN_S) > 0
        assert self.processes() == {}
        [line] = self.log.splitlines()
        return line

    def processes(self) -> dict[int, str]:
        """All that came of it and lives, wherever it hangs in the tree: command lines by pid."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except (OSError, UnicodeDecodeError):
                continue  # it ended meanwhile, or is somebody else's
        return found

    def child(self, module: str) -> int:
        """The pid of the process that it started to run a module."""
        [pid] = [
            pid
            for pid, command in self.processes().items()
            if f"-m {module} " in command and parent(pid) == self.pid
        ]
        return pid

    def close(self) -> None:
        """End all that is left, at once where it can be found."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self.stop()


def parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^PPid:\s+(\d+)$", status, re.MULTILINE)[0])


def copy_tree(source: Path, folder: Path, *left_out: str) -> Path:
    for part in PARTS:
        if (source / part).is_dir():
            ignore = shutil.ignore_patterns(*left_out)
            shutil.copytree(source / part, folder / part, ignore=ignore)
        else:
            shutil.copy2(source / part, folder / part)
    return folder


class New(Protocol):
    """Prepares a run, in the shared tree by default; what is left of it ends with the test."""

    def __call__(self, *arguments: str, tree: Path | None = None, **settings: str) -> Run: ...


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Compiled modules are left out, as whatever else runs in the checkout may be writing them now.
    return copy_tree(ROOT, tmp_path_factory.mktemp("tree"), "__pycache__")


@pytest.fixture
def tree(shared_tree: Path, tmp_path: Path) -> Path:
    """A tree of the test's own, to write into."""
    (tmp_path / "tree").mkdir()
    return copy_tree(shared_tree, tmp_path / "tree")


@pytest.fixture
def new(shared_tree: Path, tmp_path: Path) -> Iterator[New]:
    with ExitStack() as runs:

        def new(*arguments: str, tree: Path | None = None, **settings: str) -> Run:
            run = Run(tree or shared_tree, tmp_path, *arguments, **settings)
            runs.callback(run.close)
            return run

        yield new


@pytest.fixture(scope="module")
def mocked(shared_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run on a fresh clone: no Okta settings. Shared, so not to be stopped."""
    run = Run(shared_tree, tmp_path_factory.mktemp("mocked"))
    yield from started(run)


@pytest.fixture(scope="module")
def secured(shared_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A second run over TLS; the first one made the certificate. Shared, so not to be stopped."""
    tree = copy_tree(shared_tree, tmp_path_factory.mktemp("tls-tree"))
    folder = tmp_path_factory.mktemp("tls")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        first = Run(tree, folder, "--tls", PORT=str(busy.getsockname()[1]))
        assert "is in use" in first.refusal()  # quicker than to have it serve
        first.close()
    run = Run(tree, folder, "--tls")
    run.first_certificate = certificate_of(run).read_bytes()
    yield from started(run)


def started(run: Run) -> Iterator[Run]:
    try:
        yield run.start()
    finally:
        run.close()


def listens(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


# Without Okta settings


def test_it_says_where_to_go_and_that_the_provider_is_a_stand_in(mocked: Run) -> None:
    assert re.search(rf"^ *Open +{re.escape(mocked.url)}$", mocked.log, re.MULTILINE)
    assert "alice" in mocked.log
    assert "bob" in mocked.log
    assert "stand-in, as no Okta settings were found" in mocked.log
    assert "README.md" in mocked.log


@pytest.mark.parametrize(("sub", "name"), [("alice", "Alice Adams"), ("bob", "Bob Brown")])
def test_alice_and_bob_are_there_to_choose_and_get_in(
    mocked: Run, arrive: Arrive, sub: str, name: str
) -> None:
    person = arrive(mocked, sub)
    page = person.begin()
    assert page.url.port == int(mocked.environ["MOCK_PORT"])
    assert {"alice", "bob"} <= {button for form in forms(page) for button in form.buttons}
    assert person.http.get(person.choose(page)).is_redirect
    assert person.me["name"] == name


def test_nobody_is_in_without_signing_in(mocked: Run, arrive: Arrive) -> None:
    assert not arrive(mocked, "charlie").signed_in


@on_linux
def test_only_this_machine_is_served(mocked: Run) -> None:
    """The stand-in lets anyone in as anyone."""
    for name in ("PORT", "MOCK_PORT"):
        # All of 127.0.0.0/8 is this machine; what listens on all addresses would answer here.
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", int(mocked.environ[name])), 2)


# With Okta settings


def test_with_okta_settings_there_is_no_stand_in(new: New, tree: Path, arrive: Arrive) -> None:
    """Some of them in the file, as the Okta CLI writes it, the other in the environment."""
    issuer = f"http://127.0.0.1:{servers.free_port()}"  # where nobody answers
    (tree / ".okta.env").write_text(f'export {ISSUER}="{issuer}"\nexport {CLIENT_ID}="0oa1"\n')
    run = new(tree=tree, **{CLIENT_SECRET: "hush"}).start()
    assert issuer in run.log
    assert "stand-in" not in run.log
    assert "hush" not in run.log
    assert not listens(run.environ["MOCK_PORT"])
    assert httpx.get(run.url, verify=False).status_code == HTTPStatus.OK
    answer = arrive(run, "alice").http.get("/login")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Sign-in is not available" in answer.text


def test_the_environment_goes_before_the_file(new: New, tree: Path) -> None:
    (tree / ".okta.env").write_text("PORT=in-the-file\n")
    assert "'in-the-environment'" in new(tree=tree, PORT="in-the-environment").refusal()


@on_linux
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({ISSUER: "https://dev-1.okta.com/oauth2/default"}, CLIENT_ID),
        ({"OKTA_DOMAIN": "dev-1.okta.com"}, CLIENT_ID),
        ({CLIENT_ID: "0oa1"}, ISSUER),
        ({CLIENT_SECRET: "hush"}, ISSUER),
        ({"OKTA_DOMAIN": "dev-1.okta.com", CLIENT_ID: "0oa1"}, CLIENT_SECRET),
    ],
)
def test_a_half_filled_set_up_is_one_line(new: New, given: dict[str, str], missing: str) -> None:
    """Whoever set one of them wants Okta: the stand-in would hide what is missing."""
    assert new(**given).refusal().startswith(f"chat: {missing} is not set")


@on_linux
def test_a_half_filled_file_is_one_line(new: New, tree: Path) -> None:
    (tree / ".okta.env").write_text(f"OKTA_DOMAIN=dev-1.okta.com\n{CLIENT_ID}=0oa1\n")
    assert new(tree=tree).refusal() == f"chat: {CLIENT_SECRET} is not set"


# What can't be served


@on_linux
@pytest.mark.parametrize(
    ("target", "name"), [("run", "PORT"), ("run", "MOCK_PORT"), ("run-tls", "REDIRECT_PORT")]
)
def test_a_busy_port_is_one_line_that_names_the_mend(new: New, target: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        arguments = ["--tls"] if target == "run-tls" else []
        line = new(*arguments, **{name: str(port)}).refusal()
    mend = re.fullmatch(
        rf"chat: Port {port} is in use; choose another: make {target} {name}=([0-9]+)", line
    )
    assert mend, line
    assert int(mend[1]) != port


@on_linux
def test_a_second_run_is_refused_and_the_first_goes_on(mocked: Run, new: New) -> None:
    ports = {name: mocked.environ[name] for name in ("PORT", "MOCK_PORT")}
    assert f"Port {mocked.port} is in use" in new(**ports).refusal()
    assert httpx.get(mocked.url, verify=False).status_code == HTTPStatus.OK


@on_linux
def test_one_port_for_two_is_busy(new: New) -> None:
    port = str(servers.free_port())
    assert f"Port {port} is in use" in new(PORT=port, MOCK_PORT=port).refusal()


@on_linux
def test_the_mend_is_a_port(new: New) -> None:
    with socket.create_server(("127.0.0.1", 65_530)):
        line = new(PORT="65530").refusal()
    assert int(line.rpartition("=")[2]) <= 65_535


@on_linux
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "web"),
        ("MOCK_PORT", "70000"),
        ("RATE_MESSAGES", "few"),
        ("DATABASE_URL", "mysql://localhost/chat"),
        ("PUBLIC_URL", "http://localhost/chat"),
    ],
)
def test_a_bad_setting_is_one_line(new: New, name: str, value: str) -> None:
    line = new(**{name: value}).refusal()
    assert line.startswith(f"chat: {name}")


# The end


@on_linux
def test_ctrl_c_stops_all_also_with_a_websocket_open(new: New, arrive: Arrive) -> None:
    run = new().start()
    with connected(arrive(run, "alice").signs_in()):
        commands = " ".join(run.processes().values())
        assert CHAT in commands
        assert MOCK in commands
        run.press_ctrl_c()
        assert run.ends(STOPS_WITHIN_S) == 0
    assert run.processes() == {}
    assert "Traceback" not in run.log
    assert "ended by itself" not in run.log


@on_linux
def test_closing_its_terminal_stops_all_and_who_asks_again_need_not_wait_longer(new: New) -> None:
    run = new().start()
    os.kill(run.pid, signal.SIGHUP)
    wait_for(lambda: MOCK not in str(run.processes()), STOPS_WITHIN_S, "the stop to be under way")
    os.kill(run.pid, signal.SIGTERM)
    assert run.ends(STOPS_WITHIN_S) == 0
    assert run.processes() == {}
    assert "Traceback" not in run.log


@on_linux
def test_ctrl_c_while_the_app_still_loads_shows_no_traceback(new: New, tree: Path) -> None:
    first, *rest = (tree / "wsgi.py").read_text().splitlines()
    slow = "import pathlib, time; pathlib.Path('loading').touch(); time.sleep(30)"
    (tree / "wsgi.py").write_text("\n".join([first, slow, *rest, ""]))
    run = new(tree=tree).launch()
    wait_for((tree / "loading").exists, START_S, "the worker to load the app")
    run.press_ctrl_c()
    assert run.ends(STOPS_WITHIN_S) == 0
    assert run.processes() == {}
    assert "Traceback" not in run.log


QUIET_CHILD = """
import os, sys
from dev.children import Children
with Children() as children:
    children.start("A child", [sys.executable, "-c", ""], os.environ, quiet=True)
    children.wait(explain=False)
"""


def test_a_stop_shows_no_warning(shared_tree: Path) -> None:
    command = [sys.executable, "-W", "default", "-c", QUIET_CHILD]
    ended = subprocess.run(
        command, cwd=shared_tree, capture_output=True, text=True, timeout=20, check=True
    )
    assert "Warning" not in ended.stderr


@on_linux
def test_nothing_outlives_a_run_that_is_killed(new: New, arrive: Arrive) -> None:
    run = new().start()
    with connected(arrive(run, "alice").signs_in()):
        assert len(run.processes()) >= 4  # itself, the stand-in, gunicorn and its worker
        os.kill(run.pid, signal.SIGKILL)
        assert run.ends(STOPS_WITHIN_S) == -signal.SIGKILL
        wait_for(lambda: not run.processes(), STOPS_WITHIN_S, "its processes to end")


@on_linux
@pytest.mark.parametrize(("module", "name"), [(CHAT, "The chat"), (MOCK, "The stand-in for Okta")])
def test_when_one_dies_the_other_is_stopped_and_a_line_says_which(
    new: New, module: str, name: str
) -> None:
    run = new().start()
    os.kill(run.child(module), signal.SIGKILL)
    assert run.ends(STOPS_WITHIN_S) > 0
    assert f"{name} ended by itself (exit code -9)." in run.log.splitlines()
    # gunicorn's worker sees within a second that its master is gone.
    wait_for(lambda: not run.processes(), STOPS_WITHIN_S, "the others to end")


# Over TLS


def certificate_of(run: Run) -> Path:
    return run.tree / "instance" / "tls" / "localhost.crt"


def trusting(run: Run) -> ssl.SSLContext:
    """As a browser that was told to trust its certificate: names are checked."""
    return ssl.create_default_context(cafile=certificate_of(run))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_https_answers_under_each_name_of_this_machine(secured: Run, host: str) -> None:
    assert re.search(rf"^ *Open +{re.escape(secured.url)}$", secured.log, re.MULTILINE)
    url = f"https://{host}:{secured.port}/healthz"
    assert httpx.get(url, verify=trusting(secured)).status_code == HTTPStatus.OK


def test_plain_http_leads_to_https(secured: Run) -> None:
    answer = httpx.get(f"http://127.0.0.1:{secured.environ['REDIRECT_PORT']}/chat", verify=False)
    assert answer.status_code == HTTPStatus.PERMANENT_REDIRECT
    assert answer.headers["location"] == f"{secured.url}/chat"


def test_alice_signs_in_over_tls(secured: Run, arrive: Arrive) -> None:
    transport = httpx.HTTPTransport(verify=trusting(secured))
    assert arrive(secured, "alice", transport).signs_in().me["name"] == "Alice Adams"


def test_the_certificate_is_for_this_machine_and_its_key_for_its_owner(secured: Run) -> None:
    certificate = x509.load_pem_x509_certificate(certificate_of(secured).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert ip_address("127.0.0.1") in names.get_values_for_type(x509.IPAddress)
    key = certificate_of(secured).with_suffix(".key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_second_start_keeps_the_certificate(secured: Run) -> None:
    """Else one would have to trust it each time."""
    assert certificate_of(secured).read_bytes() == secured.first_certificate
    served = ssl.get_server_certificate(("127.0.0.1", secured.port), timeout=5)
    first = ssl.PEM_cert_to_DER_cert(secured.first_certificate.decode())
    assert ssl.PEM_cert_to_DER_cert(served) == first


# make


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """The Makefile where all is set up, with a Python that writes down how it is called."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    sources = ["requirements.txt", "requirements-dev.txt", "requirements-test.txt"]
    sources += ["package-lock.json", "dev/assets.py"]
    stamps = [".venv/.made", ".venv/.run", ".venv/.test", "chat/static/vendor/.stamp"]
    for age, path in [(20, path) for path in sources] + [(10, path) for path in stamps]:
        touch(tmp_path / path, age)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@" "PORT=$PORT" >>calls\n')
    python.chmod(0o755)
    return tmp_path


def touch(path: Path, seconds_ago: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    then = path.stat().st_mtime - seconds_ago
    os.utime(path, (then, then))


def make(folder: Path, *arguments: str) -> list[str]:
    """Run make; returns the calls of Python that came of it."""
    subprocess.run(
        ["make", *arguments],
        cwd=folder,
        # None of the make's that runs these tests.
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        timeout=20,
    )
    return (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("target", "command"), [("run", "-m dev.run"), ("run-tls", "-m dev.run --tls")]
)
def test_a_second_run_sets_nothing_up(workshop: Path, target: str, command: str) -> None:
    assert make(workshop, target) == [f"{command} PORT="]


def test_make_hands_the_port_on(workshop: Path) -> None:
    assert make(workshop, "run", "PORT=5010") == ["-m dev.run PORT=5010"]


@pytest.mark.parametrize(
    ("changed", "command"),
    [("requirements.txt", "-m pip install"), ("package-lock.json", "-m dev.assets")],
)
def test_what_changed_is_set_up_once(workshop: Path, changed: str, command: str) -> None:
    touch(workshop / changed, 5)
    first, last = make(workshop, "run")
    assert first.startswith(command)
    assert last.startswith("-m dev.run")
    assert make(workshop, "run")[2:] == [last]


def test_nothing_is_installed_that_is_not_pinned_by_hash(workshop: Path) -> None:
    for name in ("requirements.txt", "requirements-test.txt"):
        touch(workshop / name, 5)
    installs = [call for call in make(workshop, "test") if "pip install" in call]
    assert len(installs) == 2
    assert all("--require-hashes" in call for call in installs)


def test_make_test_runs_all_tests(workshop: Path) -> None:
    calls = [call for call in make(workshop, "test") if "pytest" in call]
    assert [call.removesuffix(" PORT=") for call in calls] == [
        "-m pytest --numprocesses=2 --dist=loadfile"
        " tests --ignore=tests/browser --ignore=tests/deploy",
        "-m pytest tests/browser",
    ]


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = " ".join(re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)).split()
    assert {"help", "run", "run-tls", "test"} <= set(targets)
    shown = subprocess.run(
        ["make", "help"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout
    assert sorted(re.findall(r"^ *make ([a-z-]+) +\S", shown, re.MULTILINE)) == sorted(targets)


@pytest.mark.parametrize("command", ["make run", "make test", "make run-tls"])
def test_the_readme_names_the_command(command: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^```sh\n{command}$", readme, re.MULTILINE)
