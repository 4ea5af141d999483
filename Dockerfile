# Hopline's image: one for workers, gateway, history, watch and the command line.
#   docker build -t hopline:local .
# Packages come from requirements.lock, each checked against its hash; how an index is reached is for pip's own settings
# (PIP_INDEX_URL and the like as build arguments), and stays in the build.
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /app/venv
ENV PATH=/app/venv/bin:${PATH}
WORKDIR /app
# First what changes seldom: these layers stay when only the code changes.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE ./
COPY processors ./processors
COPY streams ./streams
COPY dashboards ./dashboards
COPY alerts ./alerts
COPY bench ./bench
COPY deploy/prune.py ./deploy/prune.py
RUN pip install --no-deps --no-build-isolation --no-index --editable . \
 && python deploy/prune.py | xargs -r pip uninstall --yes \
 && rm -r deploy \
 && python -m compileall -q processors streams dashboards alerts bench

FROM python:${PYTHON}
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/hopline --shell /usr/sbin/nologin hopline \
 && install --directory --owner=hopline --group=hopline --mode=0750 /var/lib/hopline
COPY --from=build /app /app
ENV PATH=/app/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOPLINE_DATA_DIR=/var/lib/hopline \
    HOPLINE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/hopline
ENTRYPOINT ["hopline"]
CMD ["--help"]
