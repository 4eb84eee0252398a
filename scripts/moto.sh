#!/usr/bin/env bash
# Makes .venv-objects with moto's S3 server, for tests/tests/objects.rs. Without python3 or a network there is
# none, which is said; with --required that is a failure.
set -euo pipefail

MOTO="moto[server]==5.2.5"
VENV=.venv-objects
required=${1:-}

without() {
    echo "moto: $1; the test against its S3 server is left out" >&2
    [ "$required" = --required ] && exit 1
    exit 0
}

[ -x $VENV/bin/moto_server ] && exit 0
command -v python3 >/dev/null || without "python3 was not found"
python3 -c 'import ensurepip' 2>/dev/null || without "python3 has no venv (Debian: apt-get install python3-venv)"
rm -rf $VENV
python3 -m venv $VENV
if ! $VENV/bin/pip install --quiet --retries 0 --timeout 10 "$MOTO" 2>/dev/null; then
    rm -rf $VENV
    without "$MOTO could not be installed"
fi
