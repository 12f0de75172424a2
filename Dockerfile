# Build: docker build -t latchkey .   Both platforms: docker buildx build --platform linux/amd64,linux/arm64 .
# Needs BuildKit, Docker 25 or later. There is no compile step: Node runs the TypeScript of src/ as it is.
ARG NODE_IMAGE=node:24-trixie-slim
ARG NODE_OPTIONS="--max-semi-space-size=4 --max-old-space-size=256"

# What production runs with. `--omit=optional` keeps out prisma and typescript, which npm otherwise installs as optional
# peers of @prisma/client. Nothing here depends on the platform, so it is built on the builder's own and copied to both.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS deps
WORKDIR /build
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
# A native addon would make the image wrong on the other platform without anybody noticing: fail here instead.
RUN test -z "$(find node_modules -name '*.node' -print -quit)"
# Query compilers of databases that are not Postgres, and source maps: 60 of 130 MB, never loaded.
RUN find node_modules/@prisma/client/runtime -name 'query_compiler_*' ! -name '*.postgresql.*' -delete \
 && find node_modules -name '*.map' -delete
# What the image carries, for whoever must answer for it: /app/sbom.cdx.json.
COPY scripts/sbom.mjs scripts/
RUN node scripts/sbom.mjs sbom.cdx.json && chmod a+r sbom.cdx.json

# Our own files and the Prisma client, which the development dependencies generate before they are left behind.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS app
WORKDIR /build
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=optional --ignore-scripts --no-audit --no-fund
COPY prisma/ prisma/
COPY scripts/generate-client.mjs scripts/lock.mjs scripts/
RUN node scripts/generate-client.mjs
COPY LICENSE ./
COPY docker/latchkey docker/
COPY simulator/ simulator/
COPY src/ src/
# A checkout made under umask 077 would otherwise give files that only root can read.
RUN chmod -R a+rX . && chmod a+x docker/latchkey

# The service's code compiled and its types stripped, as Node keeps both for the platform, user and NODE_OPTIONS that they were made
# with. Elsewhere than on the builder's own platform there is none, and the service only starts slower and needs more memory.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS compiled
ARG BUILDPLATFORM
ARG TARGETPLATFORM
ARG NODE_OPTIONS
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache
WORKDIR /app
COPY --from=deps /build/node_modules node_modules/
COPY --from=app /build/docker/latchkey /usr/local/bin/
COPY --from=app /build/package.json ./
COPY --from=app /build/prisma/ prisma/
COPY --from=app /build/src/ src/
RUN install -d -o node compile-cache
USER node
# Without configuration the service loads all its code, and refuses to start. Node writes the files for their owner alone.
RUN if [ "$BUILDPLATFORM" = "$TARGETPLATFORM" ]; then \
      node src/server.ts 2>&1 | grep -q ENCRYPTION_KEYS && latchkey --help >/dev/null && chmod -R a+rX compile-cache; \
    fi

FROM ${NODE_IMAGE}
ARG NODE_IMAGE
ARG NODE_OPTIONS
ARG VERSION=0.0.0-local
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="Latchkey" \
      org.opencontainers.image.description="Token service that answers the callback URLs of meeting bots" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="docker.io/library/${NODE_IMAGE}"
ENV NODE_ENV=production
WORKDIR /app
# Everything belongs to root and the service runs as `node`: it cannot change its own code, on a writable root either.
COPY --from=deps /build/node_modules node_modules/
COPY --from=deps /build/sbom.cdx.json ./
COPY --from=app /build/docker/latchkey /usr/local/bin/
COPY --from=app /build/package.json /build/LICENSE ./
COPY --from=app /build/prisma/ prisma/
COPY --from=app /build/simulator/ simulator/
COPY --from=app /build/src/ src/
COPY --from=compiled --chown=root:root /app/compile-cache compile-cache/
ENV NODE_COMPILE_CACHE=/app/compile-cache
USER node
EXPOSE 4000 9464
# The slim image has no curl. Liveness only: a database that is down must not make every replica restart.
HEALTHCHECK --interval=30s --timeout=10s --retries=3 --start-period=60s --start-interval=1s \
  CMD ["node", "-e", "require('node:http').get({ host: '127.0.0.1', port: process.env.PORT || 4000, path: '/healthz' }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# As `npm start` does, by which docs/performance.md measures it. Set NODE_OPTIONS to give it more heap.
ENV NODE_OPTIONS="${NODE_OPTIONS}" \
    MALLOC_ARENA_MAX=2 \
    MALLOC_TRIM_THRESHOLD_=131072
# The base image's entrypoint execs it: node is PID 1 and server.ts handles SIGTERM itself.
CMD ["node", "src/server.ts"]
