"""A team chat that a company runs itself: sign in with its identity provider, talk in real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from .config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Wire the parts together, in the order in which they rely on each other.

    The imports stand in here so that `chat.config` can be read by gunicorn's master process without
    loading psycopg or redis, which must first be imported after gevent has patched the worker.

    Raises `SettingsError` if a setting is missing or wrong.
    """
    from flask import Flask

    from . import api, auth, config, errors, events, extensions, headers, health, limits, views
    from .doctor import command

    settings = settings or config.from_environment()
    app = Flask(__name__)
    app.config.from_mapping(config.flask_config(settings))
    extensions.init_app(app, settings)
    limits.init_app(app, settings)
    health.init_app(app)
    errors.init_app(app)
    auth.init_app(app)
    views.init_app(app)
    api.init_app(app)
    events.init_app(app, settings)
    headers.init_app(app, settings)
    command.init_app(app)
    return app
