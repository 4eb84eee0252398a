#!/usr/bin/env bash
# Every script here is bash, and every file that a page of documentation names is there.
source "$(dirname "$0")/common.sh"

for script in "$ROOT"/deploy/check.sh "$ROOT"/deploy/checks/*.sh "$ROOT"/deploy/slurm/*.sbatch; do
  bash -n "$script" 2>"$WORK/errors" || fail "$(head -1 "$WORK/errors")"
done
ok "scripts are bash"
while read -r path; do
  [[ -e $ROOT/deploy/$path ]] || fail "deploy/README.md names $path, which is not there"
done < <(grep -o '](\([^)#:]*\))' "$ROOT/deploy/README.md" | sed 's/^](//; s/)$//')
ok "what deploy/README.md names is there"
