"""Writes Tests/ExperimentsTests/Golden/range-test.json from NumPy.

Versions: Python 3.11, numpy 2.2.6.

    python3 -m venv venv
    venv/bin/pip install numpy==2.2.6
    venv/bin/python Tests/Golden/make_range_test_goldens.py

The rules are those of fastai 2 (fastai/callback/schedule.py: `valley`, `steep`, `minimum`, and the
smoothing of its recorder), written from their description: quadratic where ours is not.
"""

import json
import pathlib

import numpy as np

TARGET = pathlib.Path(__file__).parent.parent / "ExperimentsTests" / "Golden" / "range-test.json"
SEED = 20240711
BETA = 0.98
STEPS = 100


def smooth(losses):
    """Each average from its definition: the weighted mean of all losses so far."""
    averages = []
    for n in range(1, len(losses) + 1):
        weights = BETA ** np.arange(n - 1, -1, -1.0)
        averages.append(float(np.sum(weights * losses[:n]) / np.sum(weights)))
    return np.array(averages)


def valley(rates, losses):
    """Returns the longest strictly falling subsequence, and of several the one that ends first."""
    lengths = np.ones(len(losses), dtype=int)
    for i in range(len(losses)):
        above = lengths[:i][losses[:i] > losses[i]]
        lengths[i] = 1 + (above.max() if len(above) else 0)
    end = int(np.argmax(lengths))
    length = int(lengths[end])
    third = length / 3
    return rates[end - length + int(third) + int(third / 2)]


def steepest(rates, losses):
    return rates[int(np.argmin(np.diff(losses) / np.diff(np.log(rates))))]


def minimum(rates, losses):
    return rates[int(np.argmin(losses))] / 10


def curves(generator):
    x = np.linspace(0, 1, STEPS)
    rates = 1e-7 * 1e8**x
    falls = 4.0 - 2.5 / (1 + np.exp(-(x - 0.6) * 25))
    yield "falls, then rises", rates, falls + np.exp((x - 0.85) * 30)
    yield "noisy", rates, falls + np.exp((x - 0.9) * 30) + generator.normal(0, 0.05, STEPS)
    yield "two valleys", rates, 3 + 0.6 * np.cos(x * 13) - 1.5 * x + np.exp((x - 0.95) * 40)
    yield "slow", rates, 5.0 - 1.2 * x + np.exp((x - 0.8) * 12) + generator.normal(0, 0.02, STEPS)
    linear = np.linspace(1e-3, 1.0, STEPS)
    yield "linear ramp", linear, (linear - 0.5) ** 2 * 8 + 1 + generator.normal(0, 0.03, STEPS)


def case(name, rates, losses):
    smoothed = smooth(losses)
    kept = slice(STEPS // 10, -5)
    return {
        "name": name,
        "rates": rates.tolist(),
        "losses": losses.tolist(),
        "smoothed": smoothed.tolist(),
        "valley": float(valley(rates[kept], smoothed[kept])),
        "steepest": float(steepest(rates[kept], smoothed[kept])),
        "minimum": float(minimum(rates[kept], smoothed[kept])),
        # The rules are also given the unsmoothed losses, whose noise is harder for them.
        "raw_valley": float(valley(rates, losses)),
        "raw_steepest": float(steepest(rates, losses)),
        "raw_minimum": float(minimum(rates, losses)),
    }


def main():
    generator = np.random.default_rng(SEED)
    content = [case(*curve) for curve in curves(generator)]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
