#!/usr/bin/env bash
# The manifests: rendered offline by kustomize, then validated and read as the cluster would (kubernetes.py).
source "$(dirname "$0")/common.sh"

render() {
  if command -v kustomize >/dev/null; then kustomize build "$1"; else kubectl kustomize "$1"; fi
}

command -v kustomize >/dev/null || command -v kubectl >/dev/null || skipped "there is neither kustomize nor kubectl"
for what in base overlays/jobset overlays/trainer; do
  render "$ROOT/deploy/kubernetes/$what" >"$WORK/$(basename "$what").yaml" 2>"$WORK/errors" || fail "$what: $(tail -1 "$WORK/errors")"
done
ok "base and overlays are rendered"
python -c 'import yaml, jsonschema, kubernetes_validate' 2>/dev/null \
  || skipped "Python has no kubernetes-validate: make check-deploy"
help=()
if [[ -x $LOCKSTEP ]]; then
  "$LOCKSTEP" coordinator --help >"$WORK/coordinator.help"
  "$LOCKSTEP" worker --help >"$WORK/worker.help"
  help=(--help-of "$WORK")
fi
PYTHONDONTWRITEBYTECODE=1 python "$ROOT/deploy/checks/kubernetes.py" "${help[@]}" "$WORK"/{base,jobset,trainer}.yaml
