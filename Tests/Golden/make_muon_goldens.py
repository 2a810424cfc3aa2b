"""Writes Tests/OptimizersTests/Golden/muon.json from torch.optim.Muon and torch.optim.AdamW.

Versions: Python 3.11, torch 2.13.0 (CPU), numpy 2.4.6.

    python3 -m venv venv
    venv/bin/pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
    venv/bin/pip install numpy==2.4.6
    venv/bin/python Tests/Golden/make_muon_goldens.py

PyTorch's Muon rounds the matrices to bf16 before it orthogonalizes them. Here the optimizer runs in
fp64 with that rounding turned off, so that the file shows the rule itself. The parameters after the
last step with the rounding are written too, to show how far it moves them. "qkv" holds three
matrices side by side, which are three parameters of PyTorch's optimizer.
"""

import json
import pathlib
from unittest import mock

import torch

torch.set_num_threads(1)
FOLDER = pathlib.Path(__file__).parent.parent / "OptimizersTests" / "Golden"
STEPS = 12
MATRICES = {"wide": (5, 13), "tall": (17, 6), "square": (9, 9), "qkv": (7, 21), "row": (1, 5),
            "unused": (3, 4), "large": (131, 257)}
OTHERS = {"embedding": (11, 7), "bias": (3,)}
SEED = 20251201


def floats(values):
    return [float(f"{value:.9g}") for value in values.detach().reshape(-1).tolist()]


def formula(salt):
    """The large tensor's values, which the test repeats: multiples of 2^-15 in [-1, 1)."""
    index = torch.arange(131 * 257)
    values = (index * 7919 + salt * 104729) % 65536 / 32768 - 1
    return values.reshape(131, 257).float()


def inputs():
    generator = torch.Generator().manual_seed(SEED)
    shapes = MATRICES | OTHERS
    initial = {n: torch.randn(s, generator=generator) for n, s in shapes.items()}
    initial["large"] = formula(0)
    gradients = []
    for step in range(STEPS):
        size = 10.0 ** (step * 7 % 13 / 4 - 2)
        gradients.append({n: torch.randn(s, generator=generator) * size for n, s in shapes.items()})
        gradients[-1]["unused"].zero_()
        gradients[-1]["large"] = formula(step + 1)
    return initial, gradients


def rate(step):
    return 0.01 * (1 + step % 5)


def pieces(name, tensor):
    return tensor.chunk(3, dim=1) if name == "qkv" else (tensor,)


def joined(parts):
    return torch.cat([part.detach() for part in parts], dim=1) if len(parts) > 1 else parts[0]


def train(initial, gradients, options, adam_factor, dtype):
    parameters = {n: [torch.nn.Parameter(p.clone().to(dtype)) for p in pieces(n, t)]
                  for n, t in initial.items()}
    muon = torch.optim.Muon(
        [p for n in MATRICES for p in parameters[n]], lr=rate(0),
        adjust_lr_fn="match_rms_adamw", **options)
    decay = options["weight_decay"]
    adam = torch.optim.AdamW(
        [{"params": parameters["embedding"], "weight_decay": decay},
         {"params": parameters["bias"], "weight_decay": 0.0}],
        lr=rate(0), betas=(0.9, 0.95), eps=1e-8, foreach=False, fused=False)
    snapshots = {}
    for step in range(STEPS):
        for optimizer, factor in ((muon, 1.0), (adam, adam_factor)):
            for group in optimizer.param_groups:
                group["lr"] = rate(step) * factor
        for n, parts in parameters.items():
            for parameter, gradient in zip(parts, pieces(n, gradients[step][n])):
                parameter.grad = gradient.clone().to(dtype)
        muon.step()
        adam.step()
        if step + 1 in (1, 2, STEPS):
            snapshots[str(step + 1)] = {n: joined(parts).clone() for n, parts in parameters.items()}
    momentum = {n: joined([muon.state[p]["momentum_buffer"] for p in parameters[n]])
                for n in MATRICES}
    return snapshots, momentum


def sampled(tensors):
    return {n: floats(t)[::997] if n == "large" else floats(t) for n, t in tensors.items()}


def case(title, initial, gradients, adam_factor=1.0, **options):
    with mock.patch.object(torch.Tensor, "bfloat16", lambda tensor: tensor.clone()):
        snapshots, momentum = train(initial, gradients, options, adam_factor, torch.float64)
    rounded, _ = train(initial, gradients, options, adam_factor, torch.float32)
    return {
        "title": title, "momentum": options["momentum"], "nesterov": options["nesterov"],
        "weight_decay": options["weight_decay"], "adam_factor": adam_factor,
        "parameters": {step: sampled(tensors) for step, tensors in snapshots.items()},
        "momentum_buffer": sampled(momentum), "rounded": sampled(rounded[str(STEPS)]),
    }


if __name__ == "__main__":
    initial, gradients = inputs()
    small = [n for n in initial if n != "large"]
    (FOLDER / "muon.json").write_text(json.dumps({
        "matrices": [{"name": n, "shape": s} for n, s in MATRICES.items()],
        "others": [{"name": n, "shape": s} for n, s in OTHERS.items()],
        "learning_rates": [rate(step) for step in range(STEPS)],
        "initial": {n: floats(initial[n]) for n in small},
        "gradients": [{n: floats(g[n]) for n in small} for g in gradients],
        "cases": [
            case("usual", initial, gradients, momentum=0.95, nesterov=True, weight_decay=0.1),
            case("own rate of AdamW", initial, gradients, adam_factor=0.3, momentum=0.9,
                 nesterov=True, weight_decay=0.0),
            case("without Nesterov", initial, gradients, momentum=0.6, nesterov=False,
                 weight_decay=0.3),
        ],
    }, separators=(",", ":")) + "\n")
