from gevent import monkey; monkey.patch_all()  # noqa: E702, I001  first, or psycopg and redis block the loop

from chat import create_app  # noqa: E402

app = create_app()
