# syntax=docker/dockerfile:1
# Small images with the command `milena`, with the programs of the examples, and with the embedded broker. The build needs BuildKit, Docker's default.
#
#   docker build -t milena:0.1.0 .                                the command alone:  docker run --rm --network host milena:0.1.0 topics list
#   docker build -t milena-examples:0.1.0 --target examples .     the programs:  docker run --rm milena-examples:0.1.0
#   docker build -t milena-broker:0.1.0 --target broker .         the broker alone, for tests of clients of any language:
#     docker run --rm -p 127.0.0.1:9092:9092 milena-broker:0.1.0 --listen 0.0.0.0:9092 --advertised-host 127.0.0.1 --topic orders:3
#
# Without arguments the order system runs on the embedded broker and ends by itself. On a cluster:
#   docker run --rm --network host -e MILENA_BOOTSTRAP=localhost:9092 milena-examples:0.1.0 order-setup
#
# A page that must be reachable from outside of the container listens on all addresses:
#   docker run --rm -p 127.0.0.1:9404:9404 -e HEALTH_URL=http://127.0.0.1:9404/health/live milena-examples:0.1.0 \
#     order-system --http 0.0.0.0:9404
#
# The same broker from the image of the command:
#   docker run --rm -p 127.0.0.1:9092:9092 milena:0.1.0 broker --host 0.0.0.0 --advertised-host 127.0.0.1 --topic orders:3

FROM rust:1.95-slim-trixie AS build
# zstd needs a C compiler. It is the only codec that is not pure Rust.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches have their own names, or builds of other programs with the same paths would share them.
# The programs are copied by name, so that nothing else in a cache gets into an image.
RUN --mount=type=cache,id=milena-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=milena-target,target=/src/target,sharing=locked \
    cargo build --release --locked -p milena-examples -p milena-cli -p milena-broker --features milena-broker/bin --bins \
    && mkdir /programs \
    && cd target/release \
    && cp milena order-system order-setup order-producer order-consumer producer consumer /programs/ \
    && mkdir /broker \
    && cp milena-broker /broker/

# The broker needs no certificates, no shell and no other program.
FROM debian:trixie-slim AS broker
RUN useradd --system --uid 10001 --no-create-home milena
LABEL org.opencontainers.image.title="milena-broker" \
      org.opencontainers.image.description="An in-process Kafka broker for tests and demos, as a program; it keeps records in memory" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /broker/milena-broker /usr/local/bin/
EXPOSE 9092
USER 10001
ENTRYPOINT ["milena-broker"]
# Clients of other containers need `--advertised-host` with the name of this container.
CMD ["--listen", "0.0.0.0:9092", "--advertised-host", "127.0.0.1"]

FROM debian:trixie-slim AS base
# The certificates are for programs of one's own that speak HTTPS; milena itself speaks no TLS yet.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home milena
LABEL org.opencontainers.image.title="milena" \
      org.opencontainers.image.description="A Kafka client framework in pure Rust: its command and its examples" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /programs/milena /usr/local/bin/
# Checks the health page at HEALTH_URL. Without that variable, a program that runs counts as healthy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD test -z "$HEALTH_URL" || milena health --url "$HEALTH_URL"
USER 10001

FROM base AS examples
COPY --from=build /programs/ /usr/local/bin/
EXPOSE 9404
CMD ["order-system"]

# `docker build` without --target builds the last stage, so this one is last.
FROM base AS command
HEALTHCHECK NONE
ENTRYPOINT ["milena"]
CMD ["--help"]
