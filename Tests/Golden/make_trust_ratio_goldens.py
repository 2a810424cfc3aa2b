"""Writes Tests/OptimizersTests/Golden/trust_ratios.json: LAMB and LARS, from their papers.

Versions: Python 3.11, torch 2.13.0.

    python3 -m venv venv
    venv/bin/pip install torch==2.13.0
    venv/bin/python Tests/Golden/make_trust_ratio_goldens.py

PyTorch has neither rule, so both are written here, in double precision, from You et al. 2020
(1904.00962), Algorithm 2, and You et al. 2017 (1708.03888), Algorithm 1. LARS is written in the form
of torch.optim.SGD, where the rate multiplies the momentum; that this is the paper's form while the
rate is constant, and that LARS without adaptation is torch.optim.SGD, is checked here, as is that LAMB
without adaptation is torch.optim.AdamW's direction.
"""

import json
import pathlib

import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
FOLDER = pathlib.Path(__file__).parent.parent / "OptimizersTests" / "Golden"
STEPS = 12
# "unused" gets zero gradients only; "zero" starts from zeros; "large" lies in several blocks of
# norms and ends inside one.
SHAPES = {
    "embedding": (5, 7), "bias": (3,), "matrix": (3, 11), "zero": (4, 4), "scale": (19,),
    "unused": (2, 3), "large": (131, 257), "tail": (7, 3),
}
SEED = 20250402


def floats(values):
    return [float(f"{value:.9g}") for value in values.detach().reshape(-1).tolist()]


def formula(salt):
    """The large tensor's values, which the test repeats: multiples of 2^-15 in [-1, 1)."""
    index = torch.arange(SHAPES["large"][0] * SHAPES["large"][1])
    values = (index * 7919 + salt * 104729) % 65536 / 32768 - 1
    return values.reshape(SHAPES["large"]).float()


def inputs():
    """Returns parameters and gradients in fp32, most gradients with sizes from 1e-3 to 1e3."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(shape):
        return torch.randn(shape, generator=generator, dtype=torch.float32)

    initial = {n: normal(s) for n, s in SHAPES.items()}
    initial["zero"].zero_()
    initial["large"] = formula(0)
    gradients = []
    for step in range(STEPS):
        size = 10.0 ** (step * 7 % 13 / 2 - 3)
        gradients.append({n: normal(s) * size for n, s in SHAPES.items()})
        gradients[-1]["unused"].zero_()
        gradients[-1]["large"] = formula(step + 1)
    return ({n: t.double() for n, t in initial.items()},
            [{n: t.double() for n, t in g.items()} for g in gradients])


def rate(step, constant=False):
    return 0.01 if constant else 0.01 * (1 + step % 5)


def chosen(scope, tensor):
    return scope == "all" or tensor.dim() >= 2


def fitted(adapts, numerator, denominator):
    if not adapts or numerator == 0 or denominator == 0:
        return 1.0
    return float(numerator / denominator)


def lamb(case, parameters, gradients, rates, adaptation=True):
    beta1, beta2 = case["betas"]
    mean = {n: torch.zeros_like(p) for n, p in parameters.items()}
    square = {n: torch.zeros_like(p) for n, p in parameters.items()}
    for t, (gradient, lr) in enumerate(zip(gradients, rates), start=1):
        for n, p in parameters.items():
            g = gradient[n] * case["gradient_scale"]
            mean[n] = beta1 * mean[n] + (1 - beta1) * g
            square[n] = beta2 * square[n] + (1 - beta2) * g * g
            direction = mean[n] / (1 - beta1**t) / (
                (square[n] / (1 - beta2**t)).sqrt() + case["epsilon"])
            decays = chosen(case["decay"], p)
            if decays:
                direction = direction + case["weight_decay"] * p
            ratio = fitted(decays and adaptation, p.norm(), direction.norm())
            parameters[n] = p - lr * ratio * direction
        yield parameters
    case["state"] = {"exp_avg": mean, "exp_avg_sq": square}


def lars(case, parameters, gradients, rates, adaptation=True):
    momentum, eta = case["momentum"], case["trust_coefficient"]
    buffer = {}
    for gradient, lr in zip(gradients, rates):
        for n, p in parameters.items():
            g = gradient[n] * case["gradient_scale"]
            decays = chosen(case["decay"], p)
            decay = case["weight_decay"] if decays else 0.0
            adapts = decays and adaptation and g.norm() > 0
            ratio = fitted(adapts, eta * p.norm(), g.norm() + decay * p.norm())
            g = ratio * (g + decay * p)
            buffer[n] = momentum * buffer[n] + (1 - case["dampening"]) * g if n in buffer else g
            step = g + momentum * buffer[n] if case["nesterov"] else buffer[n]
            parameters[n] = p - lr * step
        yield parameters
    case["state"] = {"momentum_buffer": buffer} if momentum > 0 else {}


def lars_of_the_paper(case, parameters, gradients, rates):
    """Algorithm 1 as printed: the global rate and the local one enter the momentum."""
    velocity = {n: torch.zeros_like(p) for n, p in parameters.items()}
    for gradient, lr in zip(gradients, rates):
        for n, p in parameters.items():
            g, beta = gradient[n], case["weight_decay"]
            local = fitted(g.norm() > 0, case["trust_coefficient"] * p.norm(),
                           g.norm() + beta * p.norm())
            velocity[n] = case["momentum"] * velocity[n] + lr * local * (g + beta * p)
            parameters[n] = p - velocity[n]
        yield parameters


def last(results):
    for result in results:
        pass
    return result


def check_against_torch(initial, gradients):
    def copies():
        return {n: p.clone() for n, p in initial.items()}

    def torch_ends(make):
        parameters = {n: torch.nn.Parameter(p.clone()) for n, p in initial.items()}
        optimizer = make(list(parameters.values()))
        for step, gradient in enumerate(gradients):
            optimizer.param_groups[0]["lr"] = rate(step)
            for n, p in parameters.items():
                p.grad = gradient[n].clone()
            optimizer.step()
        return parameters

    def same(ends, others):
        for n in ends:
            torch.testing.assert_close(ends[n], others[n].data, rtol=1e-9, atol=1e-12)

    rates = [rate(step) for step in range(STEPS)]
    case = dict(name="lars", decay="all", weight_decay=0.1, momentum=0.9, dampening=0.0,
                nesterov=False, trust_coefficient=0.01, gradient_scale=1.0)
    same(last(lars(case, copies(), gradients, rates, adaptation=False)),
         torch_ends(lambda p: torch.optim.SGD(p, lr=1, momentum=0.9, weight_decay=0.1)))
    constant = [rate(step, constant=True) for step in range(STEPS)]
    same(last(lars(case, copies(), gradients, constant)),
         last(lars_of_the_paper(case, copies(), gradients, constant)))
    case = dict(name="lamb", decay="all", weight_decay=0.1, betas=(0.9, 0.95), epsilon=1e-6,
                gradient_scale=1.0)
    same(last(lamb(case, copies(), gradients, rates, adaptation=False)),
         torch_ends(lambda p: torch.optim.AdamW(
             p, lr=1, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1)))


def cases():
    plain = dict(weight_decay=0.0, momentum=0.0, dampening=0.0, nesterov=False, betas=(0.9, 0.95),
                 epsilon=1e-8, trust_coefficient=0.001, gradient_scale=1.0)
    for title, name, decay, changes in [
        ("lamb", "lamb", "matrices", dict(weight_decay=0.01, betas=(0.9, 0.999), epsilon=1e-6)),
        ("lamb without decay", "lamb", "matrices", {}),
        ("lamb on all", "lamb", "all", dict(weight_decay=0.1, gradient_scale=0.25)),
        ("lamb, beta1 0.3", "lamb", "all", dict(betas=(0.3, 0.6), epsilon=1e-5)),
        ("lars without momentum", "lars", "matrices", dict(weight_decay=0.1)),
        ("lars", "lars", "matrices",
         dict(weight_decay=5e-4, momentum=0.9, trust_coefficient=0.02)),
        ("lars on all", "lars", "all",
         dict(weight_decay=0.1, momentum=0.9, nesterov=True, gradient_scale=0.25)),
        ("lars, dampening", "lars", "matrices",
         dict(momentum=0.9, dampening=0.3, trust_coefficient=1.5)),
    ]:
        yield {"title": title, "name": name, "decay": decay} | plain | changes


def sampled(name, values):
    """All values, or every 997th of the large tensor's, which keeps the file small."""
    return floats(values.reshape(-1)[::997] if name == "large" else values)


if __name__ == "__main__":
    initial, gradients = inputs()
    check_against_torch(initial, gradients)
    results = []
    for case in cases():
        rule = {"lamb": lamb, "lars": lars}[case["name"]]
        parameters = {n: p.clone() for n, p in initial.items()}
        snapshots = {}
        rates = [rate(step) for step in range(STEPS)]
        for step, current in enumerate(rule(case, parameters, gradients, rates), start=1):
            if step in (1, 2, STEPS):
                snapshots[str(step)] = {n: sampled(n, p) for n, p in current.items()}
        state = {key: {n: sampled(n, v) for n, v in values.items()}
                 for key, values in case.pop("state").items()}
        results.append(case | {"parameters": snapshots, "state": state})

    def written(tensors):
        return {n: floats(t) for n, t in tensors.items() if n != "large"}

    content = {
        "shapes": [{"name": n, "shape": s} for n, s in SHAPES.items()],
        "learning_rates": [rate(step) for step in range(STEPS)],
        "initial": written(initial),
        "gradients": [written(g) for g in gradients],
        "cases": results,
    }
    (FOLDER / "trust_ratios.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
