#!/bin/sh
# Makes sure that the browser tests find a Chromium; `make test` calls this. Never fails: without one they are skipped.
set -u

for name in "${CHROMIUM:-chromium}" chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests, once ..."
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >"$log" 2>&1 &&
        command -v chromium >/dev/null 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 3 "$log"
    rm -f "$log"
fi

echo "No Chromium: the browser tests are skipped. To run them: apt-get install chromium (as root), or"
echo "set CHROMIUM to the program of a Chromium or Chrome."
