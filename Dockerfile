# A server that runs processes, with documentation at http://localhost:4000/docs: docs/documentation.md.
#   docker build -t svc-comm . && docker run --init -p 4000:4000 svc-comm

FROM node:22-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --prefer-offline --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY bin bin
COPY src src
RUN npm run build
# What the server needs of the packages for development stays, in the versions of the lock file; the others go.
RUN node scripts/production.mjs && npm install --omit=dev --ignore-scripts --prefer-offline --no-audit --no-fund

FROM node:22-slim
ENV NODE_ENV=production SVC_COMM_HTTP_HOST=0.0.0.0 SVC_COMM_BROKER_URL=embedded: SVC_COMM_DATABASE_URL=embedded:
WORKDIR /opt/svc-comm
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY migrations migrations
WORKDIR /code
# What is mounted here imports svc-comm, and whatever comes with it, by name.
RUN echo '{ "name": "processes", "private": true, "type": "module" }' > package.json \
 && ln -s /opt/svc-comm /opt/svc-comm/node_modules/svc-comm \
 && ln -s /opt/svc-comm/node_modules node_modules \
 && mkdir -p processes tasks/custom validations/custom src test .svc-comm \
 && chown -R node:node /code
USER node
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.SVC_COMM_HTTP_PORT ?? 4000}/health`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/svc-comm/dist/bin/svc-comm.js"]
CMD ["serve", "--docs", "--all", "--make-token"]
