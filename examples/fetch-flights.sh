#!/usr/bin/env bash
# Fetches 3,000,000 flights of 2001 (14 MB, Parquet) into examples/data/flights.
#
# They come out of the npm package vega-datasets, which is downloaded and opened as an archive: nothing of it
# is installed, and none of its code runs. A small program of this repository turns the delay in minutes into
# what is to be predicted, whether it is more than 15 minutes; it needs cargo.
set -euo pipefail

package=vega-datasets@3.2.1
sum=dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0
here="$(cd "$(dirname "$0")" && pwd)"
folder="$here/data/flights"

fail() {
    echo "fetch-flights: $1" >&2
    exit 1
}

if [ -e "$folder/flights.parquet" ]; then
    echo "The flights are there: $folder/flights.parquet"
    exit 0
fi
for tool in npm tar sha256sum cargo; do
    command -v "$tool" >/dev/null || fail "needs \`$tool\`, which was not found"
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "Downloading the npm package $package (18 MB)"
if ! (cd "$scratch" && npm pack "$package") >"$scratch/log" 2>&1; then
    cat "$scratch/log" >&2
    fail "npm could not download $package"
fi
tar -xzf "$scratch"/vega-datasets-*.tgz -C "$scratch" package/data/flights-3m.parquet
found=$(sha256sum "$scratch/package/data/flights-3m.parquet")
[ "${found%% *}" = "$sum" ] || fail "flights-3m.parquet is not the file that was expected (SHA-256 differs)"

cargo run --quiet --release --manifest-path "$here/../Cargo.toml" -p lockstep-data --example late_flights -- \
    "$scratch/package/data/flights-3m.parquet" "$scratch/flights.parquet"
mkdir -p "$folder"
mv "$scratch/flights.parquet" "$folder/flights.parquet"
echo "The flights are in $folder"
