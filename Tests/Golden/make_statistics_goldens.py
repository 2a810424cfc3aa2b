"""Writes Tests/StatisticsTests/Golden/*.json from mpmath, SciPy and NumPy.

Versions: Python 3.11, mpmath 1.3.0, scipy 1.15.3, numpy 2.2.6.

    python3 -m venv venv
    venv/bin/pip install mpmath==1.3.0 scipy==1.15.3 numpy==2.2.6
    venv/bin/python Tests/Golden/make_statistics_goldens.py

Student's t is taken in 40 digits: SciPy's quantiles are good to 1e-11 only.
"""

import json
import pathlib

import mpmath
import numpy as np
from scipy import optimize, stats

FOLDER = pathlib.Path(__file__).parent.parent / "StatisticsTests" / "Golden"
SEED = 20240711


def write(name, content):
    (FOLDER / name).write_text(json.dumps(content, separators=(",", ":")) + "\n")


def probability(t, n):
    tail = mpmath.betainc(n / mpmath.mpf(2), 0.5, 0, n / (n + mpmath.mpf(t) ** 2), regularized=True)
    return 1 - tail / 2 if t > 0 else tail / 2


def quantile(p, n):
    start = (stats.t.ppf(p, n) * 0.999, stats.t.ppf(p, n) * 1.001)
    return float(mpmath.findroot(lambda t: probability(t, n) - p, start))


def student():
    mpmath.mp.dps = 40
    cumulative = [
        {"t": t, "degrees_of_freedom": n, "probability": float(probability(t, n))}
        for n in [1, 2, 3, 4, 5, 8, 13, 30, 101, 1000, 100000]
        for t in [-30.0, -2.5, -0.1, 0.0, 0.3, 1.0, 1.96, 4.0, 60.0]
    ]
    quantiles = [
        {"t": quantile(p, n), "degrees_of_freedom": n, "probability": p}
        for n in [1, 2, 3, 4, 5, 8, 13, 30, 101, 1000]
        for p in [0.025, 0.1, 0.6, 0.95, 0.975, 0.995]
    ]
    return {"cumulative": cumulative, "quantiles": quantiles}


def interval(estimate, error, degrees, level=0.95):
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    return [float(estimate - half), float(estimate + half)]


def linear(generator, weighted):
    x = np.sort(generator.uniform(-3, 5, 9))
    y = 2.0 - 1.5 * x + 0.25 * x**2 + generator.normal(0, 0.3, 9)
    weights = generator.uniform(0.2, 4.0, 9) if weighted else np.ones(9)
    rows = np.stack([np.ones(9), x, x**2], axis=1)
    inverse = np.linalg.inv(rows.T @ (weights[:, None] * rows))
    parameters = inverse @ (rows.T @ (weights * y))
    residuals = float(np.sum(weights * (y - rows @ parameters) ** 2))
    covariance = inverse * residuals / 6
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "weights": weights.tolist(),
        "parameters": parameters.tolist(),
        "residual_sum_of_squares": residuals,
        "covariance": covariance.tolist(),
        "intervals": [
            interval(p, c, 6) for p, c in zip(parameters, np.sqrt(np.diag(covariance)))
        ],
    }


def nonlinear(generator):
    x = np.geomspace(8, 4096, 8)
    y = np.log(0.3 / (1 + 200 / x)) + generator.normal(0, 0.05, 8)
    parameters, covariance = optimize.curve_fit(
        lambda x, a, b: a - np.log1p(np.exp(b) / x), x, y, p0=[0, 3], ftol=1e-14, xtol=1e-14
    )
    residuals = y - (parameters[0] - np.log1p(np.exp(parameters[1]) / x))
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "parameters": parameters.tolist(),
        "residual_sum_of_squares": float(residuals @ residuals),
        "covariance": covariance.tolist(),
    }


def sample(generator):
    values = generator.normal(3, 2, 7)
    error = stats.sem(values)
    return {
        "values": values.tolist(),
        "mean": float(values.mean()),
        "variance": float(values.var(ddof=1)),
        "interval": interval(values.mean(), error, 6),
    }


if __name__ == "__main__":
    generator = np.random.default_rng(SEED)
    write("student.json", student())
    write(
        "fits.json",
        {
            "sample": sample(generator),
            "linear": linear(generator, False),
            "weighted": linear(generator, True),
            "nonlinear": nonlinear(generator),
        },
    )
