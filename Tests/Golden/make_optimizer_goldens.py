"""Writes Tests/OptimizersTests/Golden/*.json from PyTorch and transformers.

Versions: Python 3.11, torch 2.13.0 (CPU), transformers 5.23.0, numpy 2.4.6.

    python3 -m venv venv
    venv/bin/pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
    venv/bin/pip install transformers==5.23.0 numpy==2.4.6
    venv/bin/python Tests/Golden/make_optimizer_goldens.py

Optimizers run PyTorch's single-tensor implementations (foreach=False, fused=False) in fp32 on one
thread. Floats are written with as many digits as give back the same bits.
"""

import json
import math
import pathlib
import warnings

import numpy as np
import torch
import transformers
from torch.optim import lr_scheduler

warnings.filterwarnings("ignore")  # PyTorch's advice on the order of optimizer and scheduler
torch.set_num_threads(1)
FOLDER = pathlib.Path(__file__).parent.parent / "OptimizersTests" / "Golden"
STEPS = 20
# Odd sizes, so that tensors end inside vectors; "unused" gets zero gradients only.
SHAPES = {"embedding": (5, 7), "bias": (3,), "matrix": (3, 11), "scale": (19,), "unused": (2, 3)}
SEED = 20240711


def floats(values):
    return [float(f"{value:.9g}") for value in values.detach().reshape(-1).tolist()]


def write(name, content):
    (FOLDER / name).write_text(json.dumps(content, separators=(",", ":")) + "\n")


def initial_and_gradients():
    generator = torch.Generator().manual_seed(SEED)
    initial = {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}
    gradients = []
    for step in range(STEPS):
        # From 1e-4 to 1e2 across steps, as a spike or a vanishing gradient would.
        size = 10.0 ** (step * 7 % 13 / 2 - 4)
        gradients.append({n: torch.randn(s, generator=generator) * size for n, s in SHAPES.items()})
        gradients[-1]["unused"].zero_()
    return initial, gradients


def parameter_groups(parameters, scope, decay):
    if scope == "all":
        return [{"params": list(parameters.values()), "weight_decay": decay}]
    return [
        {"params": [p for p in parameters.values() if p.dim() >= 2], "weight_decay": decay},
        {"params": [p for p in parameters.values() if p.dim() < 2], "weight_decay": 0.0},
    ]


def rate(step):
    return 0.01 * (1 + step % 5)


def updates():
    torch_class = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    cases = [
        ("sgd", "sgd", "all", 0.0, {}),
        ("sgd with decay", "sgd", "all", 0.1, {}),
        ("momentum", "sgd", "all", 0.0, {"momentum": 0.9}),
        ("momentum with decay", "sgd", "matrices", 0.1, {"momentum": 0.9}),
        ("dampening", "sgd", "all", 0.01, {"momentum": 0.9, "dampening": 0.3}),
        ("nesterov", "sgd", "matrices", 0.1, {"momentum": 0.9, "nesterov": True}),
        ("adam", "adam", "all", 0.0, {"betas": (0.9, 0.999), "eps": 1e-8}),
        ("adam with decay", "adam", "all", 0.1, {"betas": (0.9, 0.95), "eps": 1e-8}),
        ("adam, betas 0", "adam", "matrices", 0.1, {"betas": (0.0, 0.0), "eps": 1e-3}),
        ("adamw", "adamw", "matrices", 0.1, {"betas": (0.9, 0.95), "eps": 1e-8}),
        ("adamw on all", "adamw", "all", 0.01, {"betas": (0.9, 0.999), "eps": 1e-8}),
        ("adamw, beta1 0.3", "adamw", "matrices", 0.5, {"betas": (0.3, 0.6), "eps": 1e-5}),
    ]
    initial, gradients = initial_and_gradients()
    results = []
    for title, name, scope, decay, options in cases:
        parameters = {n: torch.nn.Parameter(t.clone()) for n, t in initial.items()}
        groups = parameter_groups(parameters, scope, decay)
        extra = {"fused": False} if name != "sgd" else {}
        optimizer = torch_class[name](groups, lr=rate(0), foreach=False, **options, **extra)
        snapshots = {}
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            for n, parameter in parameters.items():
                parameter.grad = gradients[step][n].clone()
            optimizer.step()
            if step + 1 in (1, 2, STEPS):
                snapshots[str(step + 1)] = {n: floats(p) for n, p in parameters.items()}
        state = {}
        for n, parameter in parameters.items():
            for key, value in optimizer.state[parameter].items():
                if key != "step" and value is not None:
                    state.setdefault(key, {})[n] = floats(value)
        betas = options.get("betas", (0.9, 0.95))
        results.append({
            "title": title, "name": name, "decay": scope, "weight_decay": decay,
            "momentum": options.get("momentum", 0.0), "dampening": options.get("dampening", 0.0),
            "nesterov": options.get("nesterov", False), "betas": betas,
            "epsilon": options.get("eps", 1e-8), "parameters": snapshots, "state": state,
        })
    write("updates.json", {
        "shapes": [{"name": n, "shape": s} for n, s in SHAPES.items()],
        "learning_rates": [rate(step) for step in range(STEPS)],
        "initial": {n: floats(t) for n, t in initial.items()},
        "gradients": [{n: floats(t) for n, t in g.items()} for g in gradients],
        "cases": results,
    })


PEAK = 6e-4


def optimizer_at(peak=PEAK):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)


def run(scheduler, optimizer, count):
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def hugging_face(function, count, **arguments):
    optimizer = optimizer_at()
    return run(function(optimizer, **arguments), optimizer, count)


def sequential():
    optimizer = optimizer_at()
    parts = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.1, end_factor=1.0, total_iters=9),
        lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=1),
        lr_scheduler.CosineAnnealingLR(optimizer, T_max=21, eta_min=0.25 * PEAK),
        lr_scheduler.LinearLR(optimizer, start_factor=0.25, end_factor=0.05, total_iters=13),
    ]
    return run(lr_scheduler.SequentialLR(optimizer, parts, milestones=[9, 16, 37]), optimizer, 60)


def nanogpt(step, peak, lowest, warmup, decay):
    """The rule of nanoGPT's train.py: offset warmup, half a cosine, then the lowest rate."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    if step > decay:
        return lowest
    elapsed = (step - warmup) / (decay - warmup)
    return lowest + 0.5 * (1.0 + math.cos(math.pi * elapsed)) * (peak - lowest)


def schedules():
    result = {}

    def record(title, rates):
        result[title] = rates

    optimizer = optimizer_at()
    linear = lr_scheduler.LinearLR(optimizer, start_factor=1 / 3, end_factor=0.9, total_iters=37)
    record("LinearLR", run(linear, optimizer, 50))
    optimizer = optimizer_at()
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=53, eta_min=6e-5)
    record("CosineAnnealingLR", run(cosine, optimizer, 54))
    optimizer = optimizer_at()
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=53, eta_min=0.0)
    record("CosineAnnealingLR to 0", run(cosine, optimizer, 54))
    record("SequentialLR", sequential())

    counts = {"num_warmup_steps": 7, "num_training_steps": 61}
    record("get_cosine_schedule_with_warmup",
           hugging_face(transformers.get_cosine_schedule_with_warmup, 62, **counts))
    record("get_linear_schedule_with_warmup",
           hugging_face(transformers.get_linear_schedule_with_warmup, 70, **counts))
    record("get_constant_schedule_with_warmup",
           hugging_face(transformers.get_constant_schedule_with_warmup, 20, num_warmup_steps=7))
    for shape in ("linear", "cosine", "1-sqrt"):
        record(f"get_wsd_schedule {shape}",
               hugging_face(transformers.get_wsd_schedule, 70, num_warmup_steps=7,
                            num_stable_steps=24, num_decay_steps=30, decay_type=shape,
                            min_lr_ratio=0.1))
    record("nanoGPT", [nanogpt(step, 1e-3, 1e-4, 100, 2000) for step in range(0, 2100, 7)])
    write("schedules.json", result)


def clipping():
    generator = torch.Generator().manual_seed(SEED + 1)
    cases = []
    for size, limit in ((3.0, 1.0), (0.01, 1.0), (1e-20, 1.0), (1e15, 0.5), (0.0, 1.0)):
        values = torch.randn(75, generator=generator) * size
        parameter = torch.nn.Parameter(torch.zeros(75))
        parameter.grad = values.clone()
        torch.nn.utils.clip_grad_norm_([parameter], limit, foreach=False)
        norm = float(np.sqrt(np.sum(values.double().numpy() ** 2)))
        cases.append({"clip_norm": limit, "norm": norm, "gradient": floats(values),
                      "clipped": floats(parameter.grad)})
    write("clipping.json", cases)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    updates()
    schedules()
    clipping()
