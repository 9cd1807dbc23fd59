#!/bin/sh
# Copies the database, then the files, into a folder: backup.sh FOLDER, with DATABASE_URL and FILES in the environment.
#
# In this order, because files are never overwritten and only deleted when nothing names them: whatever the dump names is
# copied after it. Files that are there already are not copied again, so put the folder on another machine's disk, and
# keep dumps of as many days as you like. With files in a bucket leave FILES away and let the bucket keep versions.
set -eu
umask 077

to=${1:?the folder to copy to}
name=shop-$(date -u +%Y%m%dT%H%M%SZ).dump
mkdir -p "$to"

pg_dump --format=custom --no-owner --no-privileges --file="$to/$name.part" --dbname="${DATABASE_URL:?}"
pg_restore --list "$to/$name.part" >/dev/null # can be read
mv "$to/$name.part" "$to/$name"

if [ -n "${FILES:-}" ]; then
    cd "$FILES"
    find . -type f | while IFS= read -r file; do
        copy=$to/files/$file
        # One of another size is half of an upload that was going on, or of a copy that broke off.
        if [ ! -e "$copy" ] || [ "$(wc -c <"$file")" != "$(wc -c <"$copy")" ]; then
            mkdir -p "$(dirname "$copy")"
            cp -p "$file" "$copy.part"
            mv "$copy.part" "$copy"
        fi
    done
fi
echo "$to/$name"
