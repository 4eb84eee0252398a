#!/usr/bin/env bash
# The image: linted, built by buildah on a base that debootstrapping made (no image registry is asked), run.
# The binary inside is the release build of this machine, by BINARY=…, unless FULL=1: then the build stage
# compiles it, with this machine's Rust and its downloaded crates, which takes many minutes.
source "$(dirname "$0")/common.sh"

# The aim is 60; the release build of a machine is larger than what the build stage makes, which is optimized
# as a whole.
MOST_MB=64
[[ -z ${FULL:-} ]] || MOST_MB=60
FILE=$ROOT/deploy/docker/Dockerfile

lint() {
  local hadolint=$VENV/bin/hadolint
  python -c '' # makes the environment if it may
  [[ -x $hadolint ]] || hadolint=$(command -v hadolint) || { skip "there is no hadolint: make check-deploy"; return; }
  "$hadolint" "$FILE" >"$WORK/hadolint" 2>&1 || fail "hadolint: $(head -3 "$WORK/hadolint")"
  sed 's/^USER 65532:65532/USER root/; s/^WORKDIR .runs$/WORKDIR runs/' "$FILE" >"$WORK/Wrong"
  "$hadolint" "$WORK/Wrong" >/dev/null 2>&1 && fail "hadolint passes a root user in a relative folder"
  ok "hadolint is clean"
}

store() { buildah --root "$TARGET/deploy-images" --runroot "$WORK/images" --storage-driver vfs "$@"; }

# base NAME PACKAGES: a Debian of this machine's release as an image.
base() {
  local tar=$TARGET/deploy-$1.tar from
  if [[ ! -f $tar ]]; then
    mmdebstrap --quiet --format=tar --variant=minbase --include="$2" "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$tar.part" \
      >"$WORK/mmdebstrap.log" 2>&1 || skipped "no base system: $(tail -1 "$WORK/mmdebstrap.log")"
    mv "$tar.part" "$tar"
  fi
  from=$(store from scratch)
  store add -q "$from" "$tar" / >/dev/null
  store commit -q "$from" "localhost/$1" >/dev/null
  store rm "$from" >/dev/null
}

# make_image NAME OPTIONS: of the Dockerfile.
make_image() {
  local name=$1
  shift
  # Without layers of its own: what is compiled twice is never taken from a cache.
  store build --isolation chroot --network host --format docker --no-cache -q \
    --build-arg BASE=localhost/lockstep-base "$@" \
    -f "$FILE" --ignorefile "$FILE.dockerignore" -t "$name" "$ROOT" >"$WORK/build.log" 2>&1 \
    || fail "build: $(tail -5 "$WORK/build.log")"
}

build() {
  local from
  base lockstep-base ca-certificates
  if [[ -n ${FULL:-} ]]; then
    # The compiler and the crates as they are here, read only: nothing in a build may change this machine's.
    local rust registry=${CARGO_HOME:-$HOME/.cargo}/registry
    rust=$(cd "$ROOT" && rustc --print sysroot)
    cp -r "$registry" "$WORK/registry"
    from=$(store from localhost/lockstep-base)
    store config --env CARGO_HOME=/cargo --env CARGO_NET_OFFLINE=true --env PATH=/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin "$from"
    store commit -q "$from" localhost/lockstep-base >/dev/null
    store rm "$from" >/dev/null
    # First the stage that compiles, by itself: this buildah does not find a stage that an argument names.
    make_image localhost/lockstep-binary --target build -v "$rust:/rust:ro" -v "$WORK/registry:/cargo/registry"
  else
    strip -o "$WORK/lockstep" "$LOCKSTEP"
    from=$(store from scratch)
    store add -q "$from" "$WORK/lockstep" /lockstep >/dev/null
    store commit -q "$from" localhost/lockstep-binary >/dev/null
    store rm "$from" >/dev/null
  fi
  make_image localhost/lockstep --build-arg BINARY=localhost/lockstep-binary
  local bytes
  bytes=$(store inspect --type image localhost/lockstep | python -c '
import json, sys
image = json.load(sys.stdin)["Docker"]
config = image["config"]
assert config["User"] == "65532:65532", config["User"]
assert config["Entrypoint"] == ["/usr/bin/lockstep"], config
assert config["Healthcheck"]["Test"][:2] == ["CMD", "/usr/bin/lockstep"], config
') || fail "the image is configured otherwise"
  from=$(store from localhost/lockstep)
  bytes=$(du -sb --apparent-size "$(store mount "$from")" | cut -f1)
  local files
  files=$(find "$(store mount "$from")" -type f | wc -l)
  store umount "$from" >/dev/null
  store rm "$from" >/dev/null
  ((bytes < MOST_MB * 1000000)) || fail "the image has $((bytes / 1000000)) MB, more than $MOST_MB"
  ok "built by buildah: $((bytes / 100000 / 10)).$((bytes / 100000 % 10)) MB in $files files, user 65532, with a health command"
}

# run CONTAINER ARGUMENTS...: as the image's user, on this machine's network.
run() {
  local container=$1
  shift
  # On one network each needs an admin port of its own.
  store run ${ADMIN:+--env LOCKSTEP_ADMIN=$ADMIN} --isolation chroot --network host -v "$WORK/data:/data:ro" -v "$WORK/runs:/out" "$container" \
    -- /usr/bin/lockstep "$@"
}

try() {
  mkdir -m 755 "$WORK/data"
  mkdir -m 777 "$WORK/runs"
  chmod 755 "$WORK"
  run_file "$WORK/data/run.toml" 30
  local digest one two port=29571 pids=()
  digest=$(local_digest "$WORK/data/run.toml")
  one=$(store from localhost/lockstep)
  two=$(store from localhost/lockstep)
  run "$one" train /data/run.toml --workers 2 --run-dir /out/alone >"$WORK/alone.log" 2>&1 \
    || fail "train in a container: $(tail -2 "$WORK/alone.log")"
  same "$digest" "$WORK/runs/alone" "train in a container"
  [[ $(stat -c %u "$WORK/runs/alone") == 65532 ]] || fail "it runs as user $(stat -c %u "$WORK/runs/alone")"
  run "$one" coordinator /data/run.toml --run-dir /out/two --listen 127.0.0.1:$port >"$WORK/one.log" 2>&1 &
  pids+=($!)
  until_true 20 "the health command answers" run "$one" status 127.0.0.1:29501
  ok "the health command of a coordinator without workers"
  ADMIN=127.0.0.1:29502 run "$two" worker --coordinator 127.0.0.1:$port >"$WORK/two.log" 2>&1 &
  pids+=($!)
  wait "${pids[0]}" || fail "coordinator: $(tail -2 "$WORK/one.log")"
  wait "${pids[1]}" || fail "worker: $(tail -2 "$WORK/two.log")"
  same "$digest" "$WORK/runs/two" "coordinator and worker in containers"
  store rm "$one" "$two" >/dev/null
}

lint
[[ -n $INSTALL ]] || { skip "a build: make check-deploy"; exit 0; }
root "to build an image"
built
debian buildah mmdebstrap strip -- buildah mmdebstrap binutils
build
try
