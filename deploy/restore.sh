#!/bin/sh
# Puts a backup into an empty database and folder: restore.sh FOLDER [DUMP], the newest dump by default.
# DATABASE_URL and FILES in the environment say where to. All or nothing for the database; refuses one that holds tables.
set -eu
umask 077

from=${1:?the folder of the backup}
dump=${2:-$(find "$from" -maxdepth 1 -name 'shop-*.dump' | sort | tail -n 1)}
[ -f "$dump" ] || { echo "no dump in $from" >&2; exit 1; }

tables=$(psql --no-psqlrc --tuples-only --no-align --dbname="${DATABASE_URL:?}" \
    --command="SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
[ "$tables" = 0 ] || { echo "the database holds $tables tables: restore into an empty one" >&2; exit 1; }

# Without the line that makes the schema "public", which every database has.
list=$(mktemp)
trap 'rm -f "$list"' EXIT
pg_restore --list "$dump" | grep -v ' SCHEMA - public ' >"$list"
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --use-list="$list" \
    --dbname="$DATABASE_URL" "$dump"

if [ -n "${FILES:-}" ] && [ -d "$from/files" ]; then
    mkdir -p "$FILES"
    cp -Rp "$from/files/." "$FILES/"
fi
echo "restored $dump. Next: migrate, then reconcile, then books; docs/operations.md says how."
