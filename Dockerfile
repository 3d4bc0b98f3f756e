# syntax=docker/dockerfile:1
# The examples' programs and the command `milena` in a small image: docker build -t milena-examples .
# Without arguments the order system runs on the embedded broker and ends by itself; on a cluster:
# docker run --rm --network host -e MILENA_BOOTSTRAP=localhost:9092 milena-examples order-setup

FROM rust:1.95-slim-bookworm AS build
# A C compiler serves zstd, the one codec that is not pure Rust.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p milena-examples -p milena-cli --bins \
    && mkdir /programs \
    && find target/release -maxdepth 1 -type f -executable -exec cp {} /programs/ \;

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home milena
COPY --from=build /programs/ /usr/local/bin/
USER milena
CMD ["order-system"]
