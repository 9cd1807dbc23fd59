#!/bin/sh
# Makes sure that the tests of deploy/nginx.conf find an nginx; `make test` calls this. Never fails: without one they are
# skipped.
set -u

PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v nginx >/dev/null 2>&1 && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing nginx for the tests of its configuration, once ..."
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # Only the program: no server of the system's own is to be started.
    export RUNLEVEL=1
    if { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light openssl; } >"$log" 2>&1 &&
        command -v nginx >/dev/null 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 3 "$log"
    rm -f "$log"
fi

echo "No nginx: the tests of deploy/nginx.conf are skipped. To run them: apt-get install nginx-light (as root)."
