#!/usr/bin/env python3
"""Makes the CSV files of this folder from the data inside scikit-learn's wheel.

    pip download scikit-learn==1.9.1 --no-deps --only-binary=:all:
    python3 make-tables.py scikit_learn-1.9.1-*.whl

The wheel is opened as an archive; none of its code runs. Needs only the standard library.

Every fifth row is held out as test data, counted along the rows ordered by label and, within a label,
as they stand in the source. So each class is split four to one, and nothing is random. Both files
keep the order of the source.
"""
import csv
import gzip
import hashlib
import pathlib
import sys
import zipfile

FOLDER = pathlib.Path(__file__).resolve().parent
DIGITS = ("sklearn/datasets/data/digits.csv.gz",
          "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22")
BREAST_CANCER = ("sklearn/datasets/data/breast_cancer.csv",
                 "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed")
MEASURES = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
            "concave_points", "symmetry", "fractal_dimension"]


def member(wheel, name, sha256):
    data = wheel.read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        sys.exit(f"{name} is not the file of scikit-learn 1.9.1: its SHA-256 differs")
    return data


def table(text):
    return list(csv.reader(text.decode("ascii").splitlines()))


def digits(wheel):
    """64 counts from 0 to 16, row by row of the image, and the digit."""
    header = [f"pixel_{y}_{x}" for y in range(8) for x in range(8)] + ["label"]
    return header, table(gzip.decompress(member(wheel, *DIGITS)))


def breast_cancer(wheel):
    """Mean, standard error and worst value of ten measures, and the diagnosis by name."""
    header = [f"{kind}_{m}" for kind in ("mean", "error", "worst") for m in MEASURES] + ["diagnosis"]
    # The first line gives the numbers of rows and columns, and the names of the classes.
    (*_, malignant, benign), *rows = table(member(wheel, *BREAST_CANCER))
    names = {"0": malignant, "1": benign}
    return header, [row[:-1] + [names[row[-1]]] for row in rows]


def split(rows):
    order = sorted(range(len(rows)), key=lambda i: (rows[i][-1], i))
    held_out = set(order[::5])
    return ([row for i, row in enumerate(rows) if i not in held_out],
            [row for i, row in enumerate(rows) if i in held_out])


def write(name, header, rows):
    with open(FOLDER / name, "w", newline="", encoding="ascii") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"{name}: {len(rows)} rows, {len(header)} columns")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        for name, read in (("digits", digits), ("breast-cancer", breast_cancer)):
            header, rows = read(wheel)
            train, test = split(rows)
            write(f"{name}-train.csv", header, train)
            write(f"{name}-test.csv", header, test)


if __name__ == "__main__":
    main()
