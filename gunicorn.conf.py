"""How gunicorn serves the app.

Its master process reads this, and must stay free of the app's imports: psycopg and redis may be
imported only after gevent has patched, which happens in the worker.
"""

import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from gunicorn.arbiter import Arbiter

from chat.config import SettingsError, from_environment

try:
    settings = from_environment()
except SettingsError as error:
    sys.exit(f"chat: {error}")

# In memory where there is such a place: no key is left on a disk, and the heartbeat's file could on
# a slow one make a worker look dead.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108

host = "127.0.0.1" if settings.development else "0.0.0.0"  # noqa: S104  a container is its own host
bind = f"{host}:{settings.port}"
worker_class = "chat.transport.worker.Worker"
workers = settings.web_concurrency
# Beyond the sockets there is room for requests, or a full house could not even say that it is well.
worker_connections = settings.max_sockets + settings.max_strangers + 1_000
worker_tmp_dir = MEMORY
control_socket_disable = True
graceful_timeout = 8  # what hangs is cut then, so that all have ended within ten seconds
loglevel = "warning" if settings.development else "info"
certfile, keyfile = settings.tls_cert_file, settings.tls_key_file
if settings.tls:
    made = Path(tempfile.mkdtemp(prefix="chat-tls-", dir=MEMORY))  # readable by us alone
    certfile, keyfile = str(made / "chat.crt"), str(made / "chat.key")

if workers > 1:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="chat-metrics-", dir=MEMORY)

listeners = []


def on_starting(server):
    """Make a certificate, if one is wanted; listen for plain HTTP, which leads to PUBLIC_URL."""
    if not settings.development:  # there `make run` has done so
        from chat import doctor

        try:
            doctor.look_at_start(settings, lambda level, line: server.log.log(level, line))
        except SettingsError as error:
            sys.exit(f"chat: {error}")
    if settings.tls:
        ensure_certificate(server.log)
    if settings.serves_tls:
        try:
            ssl_context(server.cfg, None)
        except OSError as error:  # else it would end each worker anew
            sys.exit(f"chat: {certfile} and {keyfile} can't be served: {error}")
    if settings.redirect_port:
        try:
            listeners.append(socket.create_server((host, settings.redirect_port), backlog=128))
        except OSError as error:
            sys.exit(f"chat: REDIRECT_PORT={settings.redirect_port} can't be listened on: {error}")


def ensure_certificate(log):
    """Make a certificate where there is none, or one that ends soon, and tell its fingerprint."""
    from chat import tls

    pair = Path(certfile), Path(keyfile)
    if tls.ensure_self_signed(*pair, settings.certificate_hosts, tls.SERVED_DAYS):
        log.warning(
            "A certificate was made for %s; SHA-256 fingerprint %s",
            ", ".join(settings.certificate_hosts),
            tls.fingerprint(pair[0]),
        )


def when_ready(_server):
    """Have no reload: gunicorn would read this file again, but not listen or make anew."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def pre_fork(_server, _worker):
    """Leave alone what is here by now, in every process, so that its memory stays shared."""
    gc.collect()
    gc.freeze()


def child_exit(_server, worker):
    """Forget the sockets of a worker that is gone."""
    if workers > 1:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def on_exit(_server):
    for listener in listeners:
        listener.close()
    if settings.tls:
        shutil.rmtree(made, ignore_errors=True)
    if workers > 1:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def ssl_context(config, _default):
    from chat.transport.secure import CurrentContext

    return CurrentContext(config.certfile, config.keyfile)


def post_worker_init(worker):
    """In the patched worker: bring the store up to date, then start what runs beside the requests.

    Who connects meanwhile waits; nobody is served from a store of an older form.
    """
    import gevent
    from gevent.socket import socket as gevent_socket

    from chat import auth, redirect, sessions, store
    from chat.transport import GATE

    logging.basicConfig(format="[%(asctime)s] [%(levelname)s] %(name)s: %(message)s")
    try:
        with heartbeat(worker):
            store.bring_up_to_date(worker.wsgi)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        worker.log.critical("The store could not be brought up to date: %s", reason)
        sys.exit(Arbiter.WORKER_BOOT_ERROR)
    sessions.start_watch(worker.wsgi)
    gevent.spawn(worker.wsgi.extensions[GATE].connections.sweep_for_ever)
    gevent.spawn(auth.learn_provider, worker.wsgi)
    if settings.tls:
        gevent.spawn(renew_for_ever)
    for listener in listeners:
        redirect.serve(gevent_socket(fileno=listener.detach()), settings)


@contextmanager
def heartbeat(worker):
    """Tell the master that the worker is alive while a migration keeps it busy, for however long.

    From a native thread, as SQLite holds up the worker's own.
    """
    from gevent import get_hub
    from gevent.monkey import get_original

    migrating = get_original("_thread", "allocate_lock")()
    migrating.acquire()

    def beat():
        while not migrating.acquire(timeout=1.0):
            worker.notify()

    beating = get_hub().threadpool.spawn(beat)
    try:
        yield
    finally:
        migrating.release()
        beating.get()


def renew_for_ever():
    """Replace the certificate made here before it ends; `ssl_context` finds the new one."""
    import gevent

    from chat import tls

    while True:
        gevent.sleep(tls.LOOK_EVERY_S)
        ensure_certificate(logging.getLogger("chat.tls"))
