# bestshot-trt without a GPU. Build from the repository's root:
#   docker build -f docker/cpu.Dockerfile -t bestshot-trt:cpu .
#   docker run --rm -v "$PWD:/footage" bestshot-trt:cpu run /footage/take.mp4 -o /footage/bestshot/take
FROM python:3.12-slim
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY kernels kernels
RUN pip install --no-cache-dir . && rm -rf /src
WORKDIR /footage
ENTRYPOINT ["bestshot-trt"]
