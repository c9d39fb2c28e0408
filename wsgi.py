from gevent import monkey; monkey.patch_all()  # noqa: E702, I001  first, or psycopg and redis block the loop

import sys  # noqa: E402

from chat import config, create_app  # noqa: E402

try:
    settings = config.from_environment()
except config.SettingsError as error:
    sys.exit(f"chat: {error}")
if settings.redis_url is None:
    # Two libraries load it wherever it is installed: 8 MB, in a process that never asks Redis.
    sys.modules["redis"] = None  # type: ignore[assignment]
app = create_app(settings)
