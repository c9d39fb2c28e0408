# The chat as one container: build what it needs, then take that alone onto a slim base.
# `make image` builds it; any base will do that has Python 3.11 or newer with its `venv`.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# checkov:skip=CKV_DOCKER_7: the tag is in the line above
FROM ${PYTHON_IMAGE} AS build
# `pip` is of this stage alone: the environment that is served from has none.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    PIP_CONFIG_FILE=/run/secrets/pip NPM_CONFIG_USERCONFIG=/run/secrets/npm \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    PYTHONHASHSEED=0

# Wheels only: no package runs code of its own here, and none needs a compiler.
COPY requirements.txt ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip \
    /opt/build/bin/pip --python /opt/venv/bin/python install --quiet --require-hashes \
      --only-binary :all: --no-compile -r requirements.txt

COPY requirements-node.txt package.json package-lock.json .npmrc ./
COPY dev/__init__.py dev/assets.py dev/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip --mount=type=secret,id=npm \
    /opt/build/bin/python -m dev.assets

WORKDIR /app
COPY wsgi.py gunicorn.conf.py ./
COPY migrations migrations
COPY chat chat
# Without what only their authors need. Modes are set, lest they be those of whoever cloned this.
RUN mv /build/chat/static/vendor chat/static/ \
    && find /opt/venv -depth \( -type d -name tests -o -type d -name testing \
      -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.[ch]' \) -exec rm -r {} + \
    && rm /opt/venv/bin/[Aa]ctivate* \
    && find /opt/venv /app -depth -name __pycache__ -exec rm -r {} + \
    && chmod -R u=rwX,go=rX /opt/venv /app

# The standard library too is compiled, for the final stage: official images come without, which
# doubles the start.
WORKDIR /build
COPY dev/bytecode.py dev/
RUN library=$(python3 -c 'import os; print(os.path.dirname(os.__file__))') \
    && python3 -X no_debug_ranges -m dev.bytecode /opt/venv/lib/python3*/site-packages /app \
    && python3 -X no_debug_ranges -m dev.bytecode "$library" --into /compiled

FROM ${PYTHON_IMAGE}
# What would help an intruder goes: pip where the base brings it, and set-user-ID programs.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/bin/pip* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && echo 'chat:x:10001:10001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'chat:x:10001:' >> /etc/group \
    && install -d -o 10001 -g 10001 /data

COPY --from=build /compiled /
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

WORKDIR /app
# The bytecode is there, and the root may be read-only.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    FLASK_APP=chat.cli DATABASE_URL=sqlite:////data/chat.db
# Fargate's volumes are root's, except those that an image declares.
VOLUME ["/tmp", "/data"]
USER 10001:10001
EXPOSE 8080 8443
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "chat.healthcheck"]
ENTRYPOINT ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]

ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="Commons" \
      org.opencontainers.image.description="A team chat behind Okta" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
