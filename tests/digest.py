"""Prints the digest of a checkpoint: digest.py STEP MODEL.safetensors OPTIMIZER.safetensors

SHA-256 over the step and then, in the order in which they lie in the files, every tensor's name, type,
shape and data; numbers are u64, all is little-endian, lengths come first.
"""
import hashlib, json, struct, sys

u64 = lambda number: struct.pack("<Q", number)
sha = hashlib.sha256(u64(int(sys.argv[1])))
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    for name, info in sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0])):
        for text in (name, info["dtype"]):
            sha.update(u64(len(text.encode())) + text.encode())
        sha.update(u64(len(info["shape"])) + b"".join(map(u64, info["shape"])))
        start, end = info["data_offsets"]
        sha.update(u64(end - start) + data[start:end])
print("sha256:" + sha.hexdigest())
