# docker build -t trm .  &&  docker run --rm trm demo
# The build runs every test. CPU by default; with CUDA kernels, give bases that have nvcc and the CUDA libraries, then
# run with --gpus all:
#   docker build -t trm --build-arg BUILD_BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 \
#                       --build-arg RUNTIME_BASE=nvidia/cuda:13.0.1-runtime-ubuntu24.04 .
# Behind a company's own CA, give a BUILD_BASE whose /usr/local/share/ca-certificates has its certificate, or mount that
# folder (podman and buildah: build -v DIR:/usr/local/share/ca-certificates:ro).
ARG BUILD_BASE=debian:12
ARG RUNTIME_BASE=debian:12

# ---- build, and run every test -----------------------------------------------------------------------------------
FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY . .
RUN bash trm test

# ---- runtime: a JRE, the jar and its libraries ---------------------------------------------------------------------
FROM ${RUNTIME_BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/LICENSE /opt/trm/LICENSE
COPY --from=build /src/target/lib /opt/trm/lib
COPY --from=build /src/target/trm-cuda-*.jar /opt/trm/trm.jar
COPY --from=build /src/configs /opt/trm/configs
COPY --from=build /src/data /opt/trm/data
COPY --from=build /src/models /opt/trm/models
# Any user id may run this (docker run --user, OpenShift). Runs go to /work/runs. Native libraries are unpacked in /tmp, or
# in /work/runs/.cache where /tmp cannot be written or runs no code: then /work/runs is all that must be writable.
RUN mkdir -p /work/runs && chmod 1777 /work /work/runs && ln -s /opt/trm/configs /opt/trm/data /work/
ENV OMP_WAIT_POLICY=passive LANG=C.UTF-8
WORKDIR /work
USER 10001:10001
ENTRYPOINT ["java", "-XX:+UseSerialGC", "-Dtrm.home=/opt/trm", "-Duser.home=/work/runs", \
            "-Dorg.bytedeco.javacpp.cachedir=/tmp", "-jar", "/opt/trm/trm.jar"]
CMD ["--help"]
