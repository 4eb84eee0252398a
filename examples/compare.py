#!/usr/bin/env python3
"""What scikit-learn makes of the examples on real data, on the same rows: compare.py [NAME...]

    pip install scikit-learn==1.9.1 pandas pyarrow

For each: a network with the same layers (MLPClassifier or MLPRegressor, early stopping off, standardized
columns and one-hot categories; for flights a logistic regression) and gradient boosting
(HistGradientBoosting, as it is). Dates are hour, weekday, day of the year and days gone by, which all get
alike.
"""
import pathlib
import sys

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FOLDER = pathlib.Path(__file__).resolve().parent


def held_out(seed, rows, share):
    """The rows that `validation = share` holds out: core/src/epoch/split.rs."""
    mask, gamma = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return z ^ z >> 31
    start = mix(seed + gamma & mask)
    return np.array([mix(start + (i + 1) * gamma & mask) >> 11 < share * 2**53 for i in range(rows)])


def breast_cancer():
    return *(pd.read_csv(FOLDER / f"breast-cancer-{kind}.csv") for kind in ("train", "test")), "diagnosis", (16,)


def adult():
    read = lambda kind: pd.read_csv(FOLDER / f"data/adult/{kind}.csv", skipinitialspace=True)
    train, test = (read(kind).drop(columns="fnlwgt") for kind in ("train", "test"))
    for table in (train, test):
        table[["capital_gain", "capital_loss"]] = np.log1p(table[["capital_gain", "capital_loss"]])
    return train, test, "income", (64, 32)


def california_housing():
    table = pd.read_parquet(FOLDER / "data/california-housing/california-housing.parquet")
    tails = ["AveRooms", "AveBedrms", "AveOccup", "Population"]
    table[tails] = np.log1p(table[tails])
    held = held_out(1, len(table), 0.2)
    return table[~held], table[held], "MedHouseVal", (256, 128, 64)


def bike_sharing():
    tables = []
    for kind in ("train", "test"):
        table = pd.read_csv(FOLDER / f"data/bike-sharing/{kind}.csv", parse_dates=["ts"]).drop(columns="date")
        time = table.pop("ts").dt
        table["elapsed"] = (time.normalize() - pd.Timestamp(0)) / pd.Timedelta(days=1)
        for name, share in (("year", time.day_of_year / 365.25), ("week", time.weekday / 7), ("day", time.hour / 24)):
            table[f"{name}_sin"], table[f"{name}_cos"] = np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)
        tables.append(table)
    return *tables, "count", (128, 128, 64)


def flights():
    table = pd.read_parquet(FOLDER / "data/flights/flights.parquet")
    time, table["late"] = table.pop("date").dt, np.where(table["late"], "true", "false")
    seconds = time.hour * 3600 + time.minute * 60 + time.second
    table["elapsed"] = time.day_of_year + seconds / 86400
    for name, share in (("year", time.day_of_year / 365), ("week", time.weekday / 7), ("day", seconds / 86400)):
        table[f"{name}_sin"], table[f"{name}_cos"] = np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)
    held = held_out(1, len(table), 0.1)
    return table[~held], table[held], "late", None


def compare(name):
    train, test, target, layers = globals()[name.replace("-", "_")]()
    x, y, xt, yt = train.drop(columns=target), train[target], test.drop(columns=target), test[target]
    classes = y.dtype == object or isinstance(y.dtype, pd.StringDtype)
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")))
    mlp = (MLPClassifier if classes else MLPRegressor)(hidden_layer_sizes=layers, max_iter=30, random_state=1)
    # A network would take it hours for 2.7 million rows.
    other = ("network", mlp) if layers else ("logistic regression", LogisticRegression(max_iter=200))
    for column in x.columns[[not pd.api.types.is_numeric_dtype(x[c]) for c in x.columns]]:
        kind = pd.CategoricalDtype(sorted(set(x[column]) | set(xt[column])))
        x[column], xt[column] = x[column].astype(kind), xt[column].astype(kind)
    boost = (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(
        random_state=1, categorical_features="from_dtype")
    for what, model in ((other[0], make_pipeline(encode, other[1])), ("boosting", boost)):
        found = model.fit(x, y).predict(xt)
        if classes:
            auc = roc_auc_score(yt == model.classes_[1], model.predict_proba(xt)[:, 1])
            text = f"accuracy {accuracy_score(yt, found):.4f}, roc auc {auc:.4f}"
        else:
            text = (f"rmse {root_mean_squared_error(yt, found):.4f}, mae {mean_absolute_error(yt, found):.4f}, "
                    f"r2 {r2_score(yt, found):.4f}")
        print(f"{name}: scikit-learn's {what}: {text}, {len(x)} + {len(xt)} rows", flush=True)


for name in sys.argv[1:] or ["breast-cancer", "adult", "california-housing", "bike-sharing", "flights"]:
    compare(name)
