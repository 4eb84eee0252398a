#!/usr/bin/env bash
# The Compose file: by the specification's own schema, and what it refers to.
source "$(dirname "$0")/common.sh"

python -c 'import yaml, jsonschema' 2>/dev/null || skipped "Python has no PyYAML and jsonschema: make check-deploy"
python - "$ROOT/deploy" <<'PYTHON' || fail "compose.yaml"
import copy, json, pathlib, sys
import jsonschema, yaml

deploy = pathlib.Path(sys.argv[1])
schema = json.loads((deploy / "checks/schemas/compose-spec.json").read_text())
validator = jsonschema.Draft202012Validator(schema)
compose = yaml.safe_load((deploy / "compose.yaml").read_text())
for problem in validator.iter_errors(compose):
    sys.exit(f"{list(problem.path)}: {problem.message}")
wrong = copy.deepcopy(compose)
wrong["services"]["worker"]["stop_grace_perod"] = "1m"
assert list(validator.iter_errors(wrong)), "an unknown key passes"
for name, service in compose["services"].items():
    for volume in service.get("volumes", []):
        assert volume["type"] == "bind" or volume["source"] in compose["volumes"], (name, volume)
    assert service["user"] == "65532:65532" and service["read_only"] and service["cap_drop"] == ["ALL"], name
worker, coordinator = compose["services"]["worker"], compose["services"]["coordinator"]
assert {one["source"] for one in worker["secrets"]} == set(compose["secrets"])
assert [one["target"] for one in worker["secrets"]] == ["ca.crt", "tls.crt", "tls.key"]
(certs,) = [one["source"] for one in coordinator["volumes"] if one["target"] == coordinator["environment"]["LOCKSTEP_CERTS"]]
assert certs.endswith("/coordinator"), "a file that certs revoke adds does not reach the coordinator"
for service in worker, coordinator:
    # Memory is no place for a cache of gigabytes.
    cache = service["environment"].get("LOCKSTEP_CACHE", "/cache")
    assert not any(cache.startswith(folder) for folder in service["tmpfs"]), cache
assert "container_name" not in compose["services"]["worker"], "a container with a name cannot be scaled"
assert (deploy / compose["services"]["worker"]["build"]["context"] / "deploy/docker/Dockerfile").resolve().is_file()
PYTHON
ok "compose.yaml is valid by the specification's schema, strictly"
