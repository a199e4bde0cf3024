#!/usr/bin/env python3
"""Writes metrics.json: small sets of rows and what scikit-learn says of them. Needs numpy and scikit-learn.

    python3 tests/golden/metrics.py > tests/golden/metrics.json
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.metrics import (average_precision_score, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score)


def grouped_auc(y, p, w, key):
    groups = []
    for k in np.unique(key):
        m = key == k
        if len(np.unique(y[m])) == 2:
            groups.append((roc_auc_score(y[m], p[m], sample_weight=w[m]), w[m].sum()))
    auc, weight = np.array(groups).T
    return (auc * weight).sum() / weight.sum(), auc.mean()


def ece(y, p, bins):
    order = np.argsort(p, kind="stable")
    return sum(abs(p[i].sum() - y[i].sum()) for i in np.array_split(order, bins)) / len(p)


def binary(y, p, w, key):
    q = np.clip(p, 1e-7, 1 - 1e-7)
    rate = np.average(y, weights=w)
    logloss = log_loss(y, q, sample_weight=w)
    gauc, gauc_mean = grouped_auc(y, p, w, key)
    return {
        "auc": roc_auc_score(y, p, sample_weight=w), "gauc(k)": gauc, "gauc_mean(k)": gauc_mean,
        "pr_auc": average_precision_score(y, p, sample_weight=w), "logloss": logloss,
        "ne": logloss / -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)),
        "calibration": (w * p).sum() / (w * y).sum(),
    }


def regression(y, p, w):
    mse = mean_squared_error(y, p, sample_weight=w)
    return {"mse": mse, "rmse": np.sqrt(mse), "mae": mean_absolute_error(y, p, sample_weight=w)}


def case(name, y, p, w, key, task):
    text = [np.round(a, 4).tolist() for a in (y, p, w)]  # what the reader turns into float32
    y, p, w = (np.asarray(a, np.float32) for a in text)
    on = w > 0
    a = [x[on].astype(np.float64) for x in (y, p, w)]
    expected = binary(*a, key[on]) if task == "binary" else regression(*a)
    if name == "distinct":
        expected |= {"ece(10)": ece(a[0], a[1], 10), "ece": ece(a[0], a[1], 15)}
    return {"name": name, "label": text[0], "prediction": text[1], "weight": text[2], "key": key.tolist(),
            "expected": {k: float(v) for k, v in expected.items()}}


def main():
    r = np.random.default_rng(7)
    n = 300
    p = r.random(n)
    y = (r.random(n) < p).astype(float)
    key = r.integers(0, 12, n)
    one = np.ones(n)
    w = r.gamma(1.0, size=n)
    cases = [
        case("distinct", y, p, one, key, "binary"),
        case("ties", y, np.round(p * 6) / 6, one, key, "binary"),
        case("weights", y, p, w, key, "binary"),
        case("ties and weights", y, np.round(p * 4) / 4, w, key, "binary"),
        case("masked rows", y, np.round(p * 9) / 9, np.where(r.random(n) < .4, 0, w), key, "binary"),
        case("constant", y, np.full(n, .25), w, key, "binary"),
        case("rare positives", (np.arange(n) % 97 == 0).astype(float), p, w, key, "binary"),
        case("regression", 3 * p + r.normal(size=n), 3 * p, one, key, "regression"),
        case("weighted regression", 3 * p - r.normal(size=n), -p, w, key, "regression"),
    ]
    json.dump({"made_by": f"metrics.py, scikit-learn {sklearn.__version__}", "cases": cases}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
