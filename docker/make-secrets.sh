#!/bin/sh
# Makes every secret that docker-compose.yml asks for:
#   docker/make-secrets.sh env   [.env]            they stand in the .env
#   docker/make-secrets.sh files [.env] [secrets]  they stand in files of that folder; the .env names docker-compose.secrets.yml
# Refuses to write over anything. Keep a copy of ENCRYPTION_KEYS apart from the database's backups.
set -eu

mode="${1:-}"
env_file="${2:-.env}"
folder="${3:-./secrets}"
case "$mode" in
  env | files) ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
[ ! -e "$env_file" ] || { echo "$env_file exists and may hold the only copy of a key: move it away first" >&2; exit 1; }

random_hex() { od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }
random_base64() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }

postgres_password="$(random_hex 24)"
owner_password="$(random_hex 24)"
app_password="$(random_hex 24)"
mint_password="$(random_hex 24)"
encryption_keys="k1:$(random_base64 32)"
operator_api_key="$(random_hex 32)"

# Containers read it as another user, so the file itself is readable; the folder that holds it is not.
put() { printf '%s\n' "$2" > "$folder/$1" && chmod 644 "$folder/$1"; }

umask 077
: > "$env_file"
if [ "$mode" = files ]; then
  mkdir "$folder"
  put postgres_password "$postgres_password"
  put owner_password "$owner_password"
  put app_password "$app_password"
  put mint_password "$mint_password"
  put encryption_keys "$encryption_keys"
  put operator_api_key "$operator_api_key"
  put database_url "postgresql://latchkey_app:$app_password@postgres:5432/latchkey"
  put database_mint_url "postgresql://latchkey_mint:$mint_password@postgres:5432/latchkey"
  put database_migration_url "postgresql://latchkey_owner:$owner_password@postgres:5432/latchkey"
  printf 'COMPOSE_FILE=docker-compose.yml:docker-compose.secrets.yml\nLATCHKEY_SECRETS_DIR=%s\n' "$folder" >> "$env_file"
  # Only satisfies docker-compose.yml; docker-compose.secrets.yml empties these names again.
  postgres_password=in-a-file owner_password=in-a-file app_password=in-a-file mint_password=in-a-file
  encryption_keys=in-a-file operator_api_key=in-a-file
fi

cat >> "$env_file" <<EOF
# the https address that browsers and bots use
PUBLIC_BASE_URL=
# names this installation to its database; never change it
INSTALLATION_ID=installation-$(random_hex 4)
ENCRYPTION_KEYS=$encryption_keys
OPERATOR_API_KEY=$operator_api_key
POSTGRES_PASSWORD=$postgres_password
LATCHKEY_OWNER_PASSWORD=$owner_password
LATCHKEY_APP_PASSWORD=$app_password
LATCHKEY_MINT_PASSWORD=$mint_password
EOF
echo "wrote $env_file; set PUBLIC_BASE_URL and your Zoom app in it"
