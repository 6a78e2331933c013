# otad with its broker: docker build -t otad . && OTAD_PUBLIC_URL=https://ota.workshop.lan docker compose up -d
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY conf/deps.sh conf/deps.sh
RUN sh conf/deps.sh run
COPY . .
RUN make PREFIX=/usr DESTDIR=/out install && rm /out/usr/bin/otad-sim

FROM debian:bookworm-slim
# installing a broker must not start it: otad starts its own
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        mosquitto libmosquitto1 libmicrohttpd12 libgnutls30 libssl3 libjansson4 libcbor0.8 libsqlite3-0 libinih1 tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd -K GID_MAX=65532 --gid 65532 otad \
    && useradd -K UID_MAX=65532 --uid 65532 --gid otad --home-dir /data --no-create-home --shell /usr/sbin/nologin otad \
    && install -d -o otad -g otad -m 700 /data
COPY --from=build /out/ /
ENV OTAD_DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 8443 8883
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["otad", "health", "-d", "/data"]
ENTRYPOINT ["otad"]
