# bestshot-trt on NVIDIA GPUs (driver 535 or later, NVIDIA's container toolkit). Build from the repository's root:
#   docker build -f docker/gpu.Dockerfile -t bestshot-trt:gpu .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/footage" -v bestshot-cache:/cache \
#       bestshot-trt:gpu run take.mp4
# For drivers of 580 and later:
#   --build-arg CUDA=13.0.1 --build-arg EXTRAS=gpu-cuda13,tensorrt-cuda13
ARG CUDA=12.9.1
FROM nvidia/cuda:${CUDA}-base-ubuntu24.04 AS build
ARG EXTRAS=gpu,tensorrt
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python3 -m venv /opt/bestshot
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY kernels kernels
# TensorRT's libraries are in NVIDIA's own package index.
RUN /opt/bestshot/bin/pip install --no-cache-dir --extra-index-url https://pypi.nvidia.com ".[${EXTRAS}]"

FROM nvidia/cuda:${CUDA}-base-ubuntu24.04
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/bestshot /opt/bestshot
# "video" brings in NVDEC's library, which the toolkit leaves out by default.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    PATH=/opt/bestshot/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BESTSHOT_MODELS=/cache/models \
    BESTSHOT_ENGINES=/cache/engines \
    CUPY_CACHE_DIR=/cache/cupy \
    CUDA_CACHE_PATH=/cache/cuda
# Anyone may write to /cache, since --user makes the container's user that of the footage.
RUN useradd --uid 10001 --no-create-home --home-dir /cache --shell /usr/sbin/nologin bestshot \
    && mkdir -p /cache/models /cache/engines /cache/cupy /cache/cuda /footage \
    && chmod -R 1777 /cache /footage
USER 10001
VOLUME /cache
WORKDIR /footage
HEALTHCHECK --interval=5m --timeout=60s --start-period=10s \
    CMD ["sh", "-c", "cd /tmp && exec bestshot-trt doctor --require gpu --require NVDEC"]
ENTRYPOINT ["bestshot-trt"]
