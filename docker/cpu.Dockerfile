# bestshot-trt without a GPU. Build from the repository's root:
#   docker build -f docker/cpu.Dockerfile -t bestshot-trt:cpu .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/footage" -v bestshot-cache:/cache bestshot-trt:cpu run take.mp4
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/bestshot
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY kernels kernels
RUN /opt/bestshot/bin/pip install --no-cache-dir .

FROM python:3.12-slim-bookworm
COPY --from=build /opt/bestshot /opt/bestshot
ENV PATH=/opt/bestshot/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BESTSHOT_MODELS=/cache/models \
    BESTSHOT_ENGINES=/cache/engines
# Anyone may write to /cache, since --user makes the container's user that of the footage.
RUN useradd --uid 10001 --no-create-home --home-dir /cache --shell /usr/sbin/nologin bestshot \
    && mkdir -p /cache/models /cache/engines /footage \
    && chmod -R 1777 /cache /footage
USER 10001
VOLUME /cache
WORKDIR /footage
HEALTHCHECK --interval=5m --timeout=60s --start-period=10s \
    CMD ["sh", "-c", "cd /tmp && exec bestshot-trt doctor"]
ENTRYPOINT ["bestshot-trt"]
