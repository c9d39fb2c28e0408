"""How gunicorn serves the app.

Its master process reads this, and must stay free of the app's imports: psycopg and redis may be
imported only after gevent has patched, which happens in the worker.
"""

import logging
import os
import socket
import sys

from gunicorn.arbiter import Arbiter

from chat.config import SettingsError, from_environment

try:
    settings = from_environment()
except SettingsError as error:
    sys.exit(f"chat: {error}")

host = "127.0.0.1" if settings.development else "0.0.0.0"  # noqa: S104  a container is its own host
bind = f"{host}:{settings.port}"
worker_class = "chat.transport.worker.Worker"
workers = 1
# Beyond the sockets there is room for requests, or a full house could not even say that it is well.
worker_connections = settings.max_sockets + settings.max_strangers + 1_000
# The heartbeat's file: on a disk, a slow one could make a worker look dead.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True
graceful_timeout = 10
loglevel = "warning" if settings.development else "info"
certfile, keyfile = settings.tls_cert_file, settings.tls_key_file

listeners = []


def on_starting(server):
    """Listen for plain HTTP too, where that only leads to PUBLIC_URL."""
    if settings.redirect_port:
        listeners.append(socket.create_server((host, settings.redirect_port), backlog=128))


def post_worker_init(worker):
    """In the patched worker: bring the store up to date, then start what runs beside the requests.

    Who connects meanwhile waits; nobody is served from a store of an older form.
    """
    import gevent
    from gevent.pywsgi import WSGIServer
    from gevent.socket import socket as gevent_socket

    from chat import auth, redirect, sessions, store
    from chat.transport import GATE

    logging.basicConfig(format="[%(asctime)s] [%(levelname)s] %(name)s: %(message)s")
    try:
        store.bring_up_to_date(worker.wsgi)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        worker.log.critical("The store could not be brought up to date: %s", reason)
        sys.exit(Arbiter.WORKER_BOOT_ERROR)
    sessions.start_watch(worker.wsgi)
    gevent.spawn(worker.wsgi.extensions[GATE].connections.sweep_for_ever)
    gevent.spawn(auth.learn_provider, worker.wsgi)
    for listener in listeners:
        plain = gevent_socket(fileno=listener.detach())
        WSGIServer(plain, redirect.to(settings.public_url), log=None).start()
