from gevent import monkey; monkey.patch_all()  # noqa: E702, I001  first, or psycopg and redis block the loop

import sys  # noqa: E402

from chat import create_app  # noqa: E402
from chat.config import SettingsError  # noqa: E402

try:
    app = create_app()
except SettingsError as error:
    sys.exit(f"chat: {error}")
