# The commands of bert-tf2 in an image; the arguments after its name are theirs:
#
#   docker build --tag bert-tf2 .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" --volume bert-tf2:/cache bert-tf2 classify --help
#
# `--user` makes the files in $PWD yours; the volume `bert-tf2` keeps downloaded models.
# For NVIDIA GPUs, with CUDA's libraries from pip and the driver from the host (NVIDIA Container Toolkit):
#
#   docker build --tag bert-tf2:gpu --build-arg EXTRAS='[gpu,hub,report]' .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/work" --volume bert-tf2:/cache \
#     bert-tf2:gpu classify ...
#
# BASE_IMAGE may be any Debian or Ubuntu with Python 3.11 or later, or without Python, such as
# nvidia/cuda:12.5.1-base-ubuntu24.04, where that of the distribution is installed.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN command -v python3 > /dev/null || { \
      apt-get update && \
      apt-get install --yes --no-install-recommends python3 python3-venv && \
      rm -rf /var/lib/apt/lists/*; \
    }
ARG EXTRAS='[hub,report]'
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY bert_tf2 bert_tf2
RUN python3 -m venv /opt/bert-tf2 && /opt/bert-tf2/bin/pip install --no-cache-dir ".${EXTRAS}"

FROM ${BASE_IMAGE}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN command -v python3 > /dev/null || { \
      apt-get update && \
      apt-get install --yes --no-install-recommends python3 && \
      rm -rf /var/lib/apt/lists/*; \
    }
COPY --from=build /opt/bert-tf2 /opt/bert-tf2
# With `--user` there is no home directory for downloaded models, tables, compiled kernels and fonts.
ENV PATH=/opt/bert-tf2/bin:$PATH \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba-cache \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    XDG_CACHE_HOME=/cache
RUN useradd --create-home --uid 10001 bert && mkdir --mode=1777 /cache
USER 10001
WORKDIR /work
ENTRYPOINT ["bert-tf2"]
CMD ["--help"]
