#!/usr/bin/env bash
# Checks every way to run Lockstep that is described here, by running it.
#
#   deploy/check.sh [NAME...]        installs what it needs; as root, all of it runs
#   deploy/check.sh --static         what needs no installation, no root and no minutes; says what it leaves out
#
# Exits with 1 if a check failed. See checks/common.sh for the variables.
set -euo pipefail
cd "$(dirname "$0")"

export INSTALL=1
if [[ ${1:-} == --static ]]; then export INSTALL=; shift; fi
names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(scripts kubernetes compose docker systemd up slurm)

passed=0 failed=0 skipped=0
for name in "${names[@]}"; do
  code=0
  began=$SECONDS
  "checks/$name.sh" || code=$?
  case $code in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)); printf 'fail  %-10s ended with %d\n' "$name" "$code" ;;
  esac
  [[ -z $INSTALL ]] || printf '      %-10s took %d s\n' "$name" $((SECONDS - began))
done
echo "deployment: $passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
