#!/usr/bin/env python3
"""Golden file for the sharpness: eigenvalues of the exact Hessian of a small GPT-2 in PyTorch.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy
Run:     .venv/bin/python Tests/Golden/make_sharpness_golden.py

The file holds the parameters after a few steps of Adam under their own names, `tokens` and `targets`
(B, T) as floats, and `scale.<name>`, the inverse of Adam's preconditioner P. `plain` and `adam` are the
eigenvalues of the Hessian H of the mean loss, and of P^-1/2 H P^-1/2, in fp64 and ascending order.
"""
import pathlib

import torch
from safetensors.torch import save_file
from torch.func import functional_call, hessian
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = pathlib.Path(__file__).parent.parent / "OptimizersTests" / "Golden"
LAYERS, HEADS, WIDTH, CONTEXT, VOCABULARY, BATCH = 2, 2, 8, 6, 11, 4
RATE, BETAS, EPSILON, STEPS = 1e-2, (0.9, 0.99), 1e-8, 20


def main():
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, activation_function="gelu_new",
        bos_token_id=0, eos_token_id=0, attn_implementation="eager")
    model = GPT2LMHeadModel(config).double()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    tokens = torch.randint(0, VOCABULARY, (BATCH, CONTEXT))
    targets = (3 * tokens + 1) % VOCABULARY
    targets[0, :3] = torch.randint(0, VOCABULARY, (3,))

    def loss(parameters):
        logits = functional_call(model, parameters, (tokens,)).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=BETAS, eps=EPSILON)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(dict(model.named_parameters())).backward()
        optimizer.step()

    names = [name for name, _ in model.named_parameters()]
    # The values that fp32 holds, so that both sides have the same point.
    parameters = {name: p.detach().float().double() for name, p in model.named_parameters()}
    scales = {}
    for name, parameter in model.named_parameters():
        square = optimizer.state[parameter]["exp_avg_sq"] / (1 - BETAS[1] ** STEPS)
        scale = 1 / ((1 - BETAS[0] ** STEPS) * (square.sqrt() + EPSILON))
        scales[name] = scale.float().double()
    blocks = hessian(loss)(parameters)
    matrix = torch.cat([
        torch.cat([blocks[a][b].reshape(parameters[a].numel(), -1) for b in names], 1)
        for a in names])
    roots = torch.cat([scales[name].flatten() for name in names]).sqrt()
    plain = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    scaled = roots[:, None] * (matrix + matrix.T) / 2 * roots[None, :]
    adam = torch.linalg.eigvalsh(scaled)
    print(loss(parameters).item(), plain[[0, -2, -1]].tolist(), adam[[0, -2, -1]].tolist(),
          roots.square().min().item(), roots.square().max().item())

    tensors = {"tokens": tokens.float(), "targets": targets.float(),
               "plain": plain, "adam": adam}
    for name in names:
        short = name.removeprefix("transformer.")
        tensors[short] = parameters[name]
        tensors["scale." + short] = scales[name]
    metadata = {"layers": LAYERS, "heads": HEADS, "width": WIDTH, "context_length": CONTEXT,
                "vocabulary_size": VOCABULARY, "batch": BATCH, "parameters": len(roots)}
    save_file({key: value.float().contiguous() for key, value in tensors.items()},
              FOLDER / "sharpness.safetensors",
              metadata={key: str(value) for key, value in metadata.items()})


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    main()
