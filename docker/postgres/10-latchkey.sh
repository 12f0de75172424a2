#!/bin/sh
# Runs once, when the postgres image makes an empty data directory: makes the database and Latchkey's roles.
set -eu

# Takes <NAME> or the text of the file <NAME>_FILE, and exports it for psql's \getenv.
secret() {
  eval "value=\${$1:-} file=\${$1_FILE:-}"
  if [ -n "$file" ]; then value="$(cat "$file")"; fi
  # Shorter ones are placeholders or guesses. The URLs hold the password as it is, so it must need no escaping.
  case "$value" in *[!A-Za-z0-9_-]*) echo "$1: letters, digits, _ and - only" >&2; exit 1 ;; esac
  [ "${#value}" -ge 16 ] || { echo "$1 (or $1_FILE) must hold at least 16 characters" >&2; exit 1; }
  export "$1=$value"
}

secret LATCHKEY_OWNER_PASSWORD
secret LATCHKEY_APP_PASSWORD
secret LATCHKEY_MINT_PASSWORD

directory="${LATCHKEY_SQL_DIR:-/opt/latchkey}"
psql --no-psqlrc --quiet -U "${POSTGRES_USER:-postgres}" -d postgres -f "$directory/roles.sql"
