"""Writes Tests/RecipesTests/Golden/scaling.json: scaling rules, formulas and a scaled AdamW.

Versions: Python 3.11, torch 2.13.0.

    python3 -m venv venv
    venv/bin/pip install torch==2.13.0
    venv/bin/python Tests/Golden/make_scaling_goldens.py

Rules are computed in 50 decimal digits from their papers and rounded once. Formulas are evaluated by
Python, whose ** binds as a formula's ^ does. The steps are torch.optim.AdamW's, with the betas, epsilon,
rate and decay that the rules give.
"""

import json
import math
import pathlib
from decimal import Decimal as D
from decimal import getcontext

import torch

torch.set_num_threads(1)
getcontext().prec = 50
FOLDER = pathlib.Path(__file__).parent.parent / "OptimizersTests" / "Golden"


def floats(values):
    return [float(f"{value:.9g}") for value in values.detach().reshape(-1).tolist()]


def factor(rule, name, b0, b, exponent, noise, a):
    """The peak rate over the base rate."""
    k = D(b) / D(b0)
    if rule == "adam-sde":
        return k.sqrt()
    if rule == "beta2-half-life":
        return k ** D(exponent or 0)
    if rule == "noise-scale":
        power = D(a) if a is not None else (D(1) if name in ("sgd", "lars") else D("0.5"))
        return ((1 + D(noise) / D(b)) / (1 + D(noise) / D(b0))) ** -power
    if rule == "surge":
        def best(batch):
            x = (D(noise) / D(batch)).sqrt()
            return 1 / ((x + 1 / x) / 2)
        return best(b) / best(b0)
    return {"linear": k, "sqrt": k.sqrt(), "none": D(1)}[rule]


def rules():
    result = []
    for rule, name, b0, b, exponent, noise, a, decay in [
        ("adam-sde", "adamw", 12, 24, None, None, None, "kept"),
        ("adam-sde", "adam", 12, 3, None, None, None, "kept"),
        ("adam-sde", "lamb", 16, 144, None, None, None, "kept"),
        ("adam-sde", "adamw", 16, 80, None, None, None, "timescale"),
        ("adam-sde", "adamw", 7, 7, None, None, None, "timescale"),
        ("beta2-half-life", "adamw", 12, 96, None, None, None, "kept"),
        ("beta2-half-life", "adamw", 512, 1, None, None, None, "timescale"),
        ("beta2-half-life", "adam", 12, 36, 0.5, None, None, "kept"),
        ("beta2-half-life", "lamb", 12, 36, -0.25, None, None, "kept"),
        ("noise-scale", "sgd", 16, 1024, None, 300, None, "kept"),
        ("noise-scale", "lars", 16, 4, None, 300, None, "kept"),
        ("noise-scale", "adamw", 16, 1024, None, 300, None, "timescale"),
        ("noise-scale", "adamw", 16, 64, None, 0.5, 0.75, "kept"),
        ("noise-scale", "adamw", 16, 16, None, 300, None, "timescale"),
        ("surge", "adamw", 16, 256, None, 256, None, "kept"),
        ("surge", "adamw", 16, 4096, None, 256, None, "timescale"),
        ("surge", "sgd", 512, 8, None, 100, None, "kept"),
        ("linear", "adamw", 12, 96, None, None, None, "timescale"),
        ("sqrt", "adamw", 12, 96, None, None, None, "timescale"),
        ("none", "adamw", 12, 96, None, None, None, "timescale"),
    ]:
        k = D(b) / D(b0)
        f = factor(rule, name, b0, b, exponent, noise, a)
        beta1, beta2, epsilon, wd = D("0.9"), D("0.95"), D("1e-8"), D("0.1")
        if rule == "adam-sde":
            beta1, beta2 = 1 - k * (1 - beta1), 1 - k * (1 - beta2)
            epsilon = epsilon / k.sqrt()
        if rule == "beta2-half-life":
            beta2 = beta2 ** k
        if decay == "timescale":
            wd = wd * k / f
        result.append({
            "rule": rule, "name": name, "base_batch": b0, "global_batch": b, "exponent": exponent,
            "noise_scale": noise, "noise_exponent": a, "weight_decay_rule": decay,
            "factor": float(f), "betas": [float(beta1), float(beta2)], "epsilon": float(epsilon),
            "weight_decay": float(wd),
        })
    return result


FORMULAS = [
    "lr * (B/B0)^0.7", "lr*k", "lr * sqrt(k)", "0.001", "1e-3", "1E-3+.5e-3", "2.*lr",
    "-2^2 + 5", "(-2)^2", "2^3^2", "2^-1", "2^-2^2", "-2^-2 + 1", "--3", "- - -3 + 4", "1-2-3+9",
    "64/4/2", "2*3^2", "-k^2 + 65", "1 - -1", "2 * -3 + 7", "8 - 2 * 3", "min(lr, 1)",
    "max(1, 2, k, 3)", "min(3, max(1, 2), 5, 4)", "log(exp(1.5))", "exp(-1)", "sqrt(2)^2",
    "lr / (1 + Bn/B)^0.5", "lr * (1 + Bn / B0) / (1 + Bn / B)", "((((1))))", "  7  ", "k^(1/3)^2",
    "lr*min(k,Bn/B0)", "2^0.5^2", "log(B)/log(B0)", "10 - 4 / 2 * 3", "lr\t*\n2",
]


def formulas():
    values = {"lr": 1e-3, "B": 96.0, "B0": 12.0, "k": 8.0, "Bn": 300.0}
    functions = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp, "min": min, "max": max}
    return [{"text": text, "value": float(eval(f"({text.replace('^', '**')})", {
        "__builtins__": {}}, values | functions))} for text in FORMULAS]


def scaled_steps():
    """AdamW as adam-sde has it at four times the base batch, with the decay's timescale kept."""
    generator = torch.Generator().manual_seed(20250403)
    initial = torch.randn(5, 7, generator=generator)
    gradients = [torch.randn(5, 7, generator=generator) for _ in range(4)]
    parameter = torch.nn.Parameter(initial.clone())
    optimizer = torch.optim.AdamW(
        [parameter], lr=2 * 1e-2, betas=(0.6, 0.8), eps=1e-3 / 2, weight_decay=0.1 * 4 / 2,
        foreach=False, fused=False)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return {"initial": floats(initial), "gradients": [floats(g) for g in gradients],
            "parameters": floats(parameter)}


if __name__ == "__main__":
    content = {"rules": rules(), "formulas": formulas(), "scaled_steps": scaled_steps()}
    (FOLDER / "scaling.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
