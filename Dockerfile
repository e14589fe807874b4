# Two images: CPU, and NVIDIA GPUs. Each build runs every test.
#
#   docker build -t trm .                                   docker run --rm trm demo
#   docker build -t trm --target cuda .                     docker run --rm --gpus all -v $PWD/runs:/runs trm train configs/sudoku-mlp.yaml
#
# Bases are arguments, so that they can come from another registry, or be pinned by digest:
#   --build-arg CUDA_RUNTIME_BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04@sha256:...
# The build needs the distribution's packages and Maven Central, nothing else. Behind a company's own CA, give a base whose
# /usr/local/share/ca-certificates has its certificate, or mount that folder (podman and buildah: build -v
# DIR:/usr/local/share/ca-certificates:ro).
#
# --build-arg TESTS=0 leaves out the tests. Any user id may run an image, with a root that is read-only: /runs is all that must be writable.
ARG BUILD_BASE=debian:12
ARG RUNTIME_BASE=debian:12
ARG CUDA_BUILD_BASE=nvidia/cuda:13.0.1-cudnn-devel-ubuntu24.04
ARG CUDA_RUNTIME_BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04

# ---- build, and run every test: without nvcc, and with it --------------------------------------------------------------
FROM ${BUILD_BASE} AS build-cpu
ARG TESTS=1
WORKDIR /src
COPY . .
RUN TESTS=$TESTS bash deploy/image/build.sh

FROM ${CUDA_BUILD_BASE} AS build-cuda
ARG TESTS=1
WORKDIR /src
COPY . .
RUN TESTS=$TESTS bash deploy/image/build.sh

# ---- runtime: a JRE, Open MPI, tini, the jar and its libraries ------------------------------------------------------------
FROM ${CUDA_RUNTIME_BASE} AS cuda
COPY deploy/image/runtime.sh /tmp/runtime.sh
RUN bash /tmp/runtime.sh && rm /tmp/runtime.sh
COPY --from=build-cuda /image /
WORKDIR /opt/trm
ENV OMP_WAIT_POLICY=passive LANG=C.UTF-8
USER 10001:10001
ENTRYPOINT ["/usr/bin/tini", "--", "trm"]
CMD ["--help"]
LABEL org.opencontainers.image.title="trm-cuda" \
      org.opencontainers.image.description="Trainer of recursive reasoning models (TRM, HRM), for NVIDIA GPUs" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM ${RUNTIME_BASE} AS cpu
COPY deploy/image/runtime.sh /tmp/runtime.sh
RUN bash /tmp/runtime.sh && rm /tmp/runtime.sh
COPY --from=build-cpu /image /
WORKDIR /opt/trm
ENV OMP_WAIT_POLICY=passive LANG=C.UTF-8
USER 10001:10001
ENTRYPOINT ["/usr/bin/tini", "--", "trm"]
CMD ["--help"]
LABEL org.opencontainers.image.title="trm-cuda" \
      org.opencontainers.image.description="Trainer of recursive reasoning models (TRM, HRM), on CPUs" \
      org.opencontainers.image.licenses="Apache-2.0"
