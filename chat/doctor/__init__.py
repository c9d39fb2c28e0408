"""`flask doctor`: looks at the settings and at what surrounds the app, and names each mistake with
its mend.

The quick part asks nobody over the network and imports little, since gunicorn's master runs it at
each start: what needs psycopg, redis or requests is imported by `checks.everything` alone.
"""

from .checks import look_at_start

__all__ = ["look_at_start"]
