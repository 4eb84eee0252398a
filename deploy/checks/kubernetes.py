"""Reads rendered manifests: schemas, strictly; what refers to what; what becomes of each exit code.

Kinds that the validator does not know are validated by schemas/, and the jobs inside them as batch/v1.
"""

import argparse
import copy
import json
import pathlib
import re
import sys

import jsonschema
import kubernetes_validate
import yaml
from referencing import Registry, Resource

VERSION = "1.33"  # the first in which successPolicy is stable
SCHEMAS = pathlib.Path(__file__).parent / "schemas"

# What must become of a pod: (exit code, conditions) to action. Count is the default: against backoffLimit.
TABLE = [
    (75, [], "Ignore"),
    (75, ["DisruptionTarget"], "Ignore"),
    (137, ["DisruptionTarget"], "Ignore"),
    (143, ["DisruptionTarget"], "Ignore"),
    (78, [], "FailJob"),
    (2, [], "FailJob"),
    # A run file does not become good because its pod is evicted.
    (78, ["DisruptionTarget"], "FailJob"),
    (1, [], "Count"),
    (137, [], "Count"),
    (143, [], "Count"),
    (139, [], "Count"),
]


class Wrong(Exception):
    pass


def ok(text):
    print(f"ok    kubernetes {text}")


def jobs_of(document):
    """Name and spec of each job that a document makes."""
    if document["kind"] == "Job":
        return [(document["metadata"]["name"], document["spec"])]
    spec = document.get("spec", {})
    sets = {"JobSet": spec, "TrainingRuntime": spec.get("template", {}).get("spec", {})}
    jobs = sets.get(document["kind"], {}).get("replicatedJobs", [])
    return [(job["name"], job["template"]["spec"]) for job in jobs]


def validate(document):
    kind = document["kind"]
    if kind in ("JobSet", "TrainingRuntime", "TrainJob"):
        read = lambda name: json.loads((SCHEMAS / name).read_text())
        resources = [(name, Resource.from_contents(read(name))) for name in ("jobset.json", "trainer.json")]
        schema = read("jobset.json" if kind == "JobSet" else "trainer.json")
        schema["$id"] = "jobset.json" if kind == "JobSet" else "trainer.json"
        registry = Registry().with_resources(resources)
        jsonschema.Draft202012Validator(schema, registry=registry).validate(document)
        for name, spec in jobs_of(document):
            validate({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    else:
        kubernetes_validate.validate(document, VERSION, strict=True)


def is_valid(document):
    try:
        validate(document)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return str(getattr(error, "message", error))
    return None


def action(job, container, code, conditions):
    """What the job controller does: the first rule that fits, else Count."""
    for rule in job.get("podFailurePolicy", {}).get("rules", []):
        codes = rule.get("onExitCodes")
        if codes and codes.get("containerName", container) == container:
            if (code in codes["values"]) == (codes["operator"] == "In"):
                return rule["action"]
        if any(condition["type"] in conditions for condition in rule.get("onPodConditions", [])):
            return rule["action"]
    return "Count"


def check_job(name, job, documents, flags):
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    for code, conditions, expected in TABLE:
        found = action(job, container["name"], code, conditions)
        if found != expected:
            raise Wrong(f"{name}: a pod that ends with {code} {conditions} is {found}, expected {expected}")
    if pod["restartPolicy"] != "Never":
        raise Wrong(f"{name}: podFailurePolicy needs restartPolicy Never")
    secure = container["securityContext"]
    if not (
        pod["securityContext"]["runAsNonRoot"]
        and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        and secure["readOnlyRootFilesystem"]
        and secure["allowPrivilegeEscalation"] is False
        and secure["capabilities"] == {"drop": ["ALL"]}
        and pod["automountServiceAccountToken"] is False
    ):
        raise Wrong(f"{name}: its pods are not restricted")
    # Probes find their ports, mounts their volumes, volumes what they are of.
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container and container[probe]["httpGet"]["port"] not in ports:
            raise Wrong(f"{name}: {probe} asks a port that is not there")
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    if volumes != mounts:
        raise Wrong(f"{name}: volumes {volumes ^ mounts} are not both declared and mounted")
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume and ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) not in names:
            raise Wrong(f"{name}: there is no claim {volume}")
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in names:
            raise Wrong(f"{name}: there is no {volume}")
    if ("ServiceAccount", pod["serviceAccountName"]) not in names:
        raise Wrong(f"{name}: there is no account {pod['serviceAccountName']}")
    # Flags and variables are the command's, where it can be asked.
    known = flags.get(container["args"][0])
    used = [text for text in container["args"] if text.startswith("--")] + [one["name"] for one in container["env"]]
    if unknown := known and [text for text in used if text not in known]:
        raise Wrong(f"{name}: the command has no {unknown}")


def check(path, flags):
    documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    for document in documents:
        if problem := is_valid(document):
            raise Wrong(f"{document['kind']} {document['metadata']['name']}: {problem}")
    jobs = [job for document in documents for job in jobs_of(document)]
    roles = {job["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: job for _, job in jobs}
    # A job of the base beside the one that was copied from it would be a second run of it.
    if len(jobs) != 2 or set(roles) != {"coordinator", "worker"}:
        raise Wrong(f"the jobs are {[name for name, _ in jobs]}")
    for name, job in jobs:
        check_job(name, job, documents, flags)
    worker = roles["worker"]
    if worker["completionMode"] != "Indexed" or worker["successPolicy"]["rules"] != [{"succeededCount": 1}]:
        raise Wrong("workers: the first that finishes must end the job")
    # Every selector finds the pods that it is about.
    labels = {role: job["template"]["metadata"]["labels"] for role, job in roles.items()}
    for document in documents:
        spec = document.get("spec", {})
        selector = {"Service": spec.get("selector"), "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"),
                    "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}.get(document["kind"])
        if selector is not None:
            found = [role for role, have in labels.items() if selector.items() <= have.items()]
            if len(found) != 1:
                raise Wrong(f"{document['kind']} {document['metadata']['name']} selects {found}")
    service = next(document for document in documents if document["kind"] == "Service")
    if service["spec"]["clusterIP"] != "None" or not service["spec"]["publishNotReadyAddresses"]:
        raise Wrong("the service is not headless, or hides pods that are not ready")
    (container,) = worker["template"]["spec"]["containers"]
    address = {variable["name"]: variable["value"] for variable in container["env"]}["LOCKSTEP_COORDINATOR"]
    if address != f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}":
        raise Wrong(f"workers look for {address}")
    refute(documents)
    kinds = len({document["kind"] for document in documents})
    checked = ", flags and variables are the command's" if flags else ""
    ok(f"{path.stem}: {len(documents)} objects of {kinds} kinds are valid for {VERSION}, strictly{checked}")
    ok(f"{path.stem}: 75 and disruptions are replaced, 2 and 78 fail the job, the rest counts")


def refute(documents):
    """A validator that lets these pass would say nothing."""
    for document in documents:
        wrong = copy.deepcopy(document)
        if "spec" not in wrong:
            continue
        wrong["spec"]["publishNotReadyAdresses"] = True
        if not is_valid(wrong):
            raise Wrong(f"{document['kind']}: an unknown key passes")
        wrong = copy.deepcopy(document)
        for _, job in jobs_of(wrong):
            job["template"]["spec"]["containers"][0]["readinesProbe"] = {}
            if not is_valid(wrong):
                raise Wrong(f"{document['kind']}: an unknown key in a container passes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--help-of", type=pathlib.Path)
    parser.add_argument("files", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    flags = {}
    if arguments.help_of:
        for command in ("coordinator", "worker"):
            text = (arguments.help_of / f"{command}.help").read_text()
            flags[command] = set(re.findall(r"--[a-z-]+|LOCKSTEP_[A-Z_]+", text))
    try:
        for path in arguments.files:
            check(path, flags)
    except Wrong as wrong:
        print(f"fail  kubernetes {wrong}")
        sys.exit(1)


main()
