"""Prints the lines of a run's digests.jsonl as its chain must be: chain.py RUN_DIR [STEP DIGEST]

link = SHA-256("lockstep chain 1", run, train, then 0, or 1 and validation); each line's is the SHA-256
of the link before it, the step (u64, little-endian) and the digest. With STEP and DIGEST that line has
another digest, to show what a forger could do.
"""
import hashlib, json, pathlib, struct, sys

raw = lambda text: bytes.fromhex(text.removeprefix("sha256:"))
folder = pathlib.Path(sys.argv[1])
inputs = json.loads((folder / "env.json").read_text())["inputs"]
validation = inputs["validation"]
link = hashlib.sha256(
    b"lockstep chain 1" + raw(inputs["run"]) + raw(inputs["train"])
    + (b"\x01" + raw(validation) if validation else b"\x00")
).digest()
for line in map(json.loads, (folder / "digests.jsonl").read_text().splitlines()):
    if sys.argv[2:] and line["step"] == int(sys.argv[2]):
        line["digest"] = sys.argv[3]
    link = hashlib.sha256(link + struct.pack("<Q", line["step"]) + raw(line["digest"])).digest()
    line["chain"] = "sha256:" + link.hex()
    print(json.dumps(line, separators=(",", ":")))
