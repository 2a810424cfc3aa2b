#!/usr/bin/env python3
"""Golden files for the model: Hugging Face's GPT-2 in PyTorch, small sizes and odd shapes.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install torch==2.13.0+cpu transformers==5.23.0 safetensors==0.8.0 numpy
Run:     .venv/bin/python Tests/Golden/make_model_goldens.py

Each file holds the parameters under their own names, `tokens` and `targets` (B, T) as floats (-1 is
ignored), the `logits` (B, T, V), the `loss` (mean over counted targets) and `gradient.<name>` for each
parameter. Its metadata holds the configuration.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = pathlib.Path(__file__).parent.parent / "ModelTests" / "Golden"

# name: layers, heads, width, context, vocabulary, batch, biases, ignored targets
CASES = {
    "odd": (2, 3, 15, 7, 13, 3, True, 0),
    "long": (1, 2, 12, 150, 67, 1, True, 0),
    "biasless": (2, 2, 16, 10, 21, 2, False, 5),
}


def save(name, model, ignored, metadata):
    """Writes the file of a model, whose configuration the metadata holds, with `ignored` ignored targets."""
    shape = metadata["batch"], metadata["context_length"]
    model.double()  # The oracle's own rounding must not count against us.
    tokens = torch.randint(0, metadata["vocabulary_size"], shape)
    targets = torch.randint(0, metadata["vocabulary_size"], shape)
    targets.view(-1)[torch.randperm(targets.numel())[:ignored]] = -1
    logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    loss.backward()

    tensors = {"tokens": tokens.float(), "targets": targets.float(),
               "logits": logits.detach(), "loss": loss.detach()}
    for key, parameter in model.named_parameters():
        if key.endswith("bias") and not metadata["bias"]:
            continue
        key = key.removeprefix("transformer.")
        tensors[key] = parameter.detach().clone()
        tensors["gradient." + key] = parameter.grad.clone()
    save_file({key: value.float() for key, value in tensors.items()}, FOLDER / f"{name}.safetensors",
              metadata={key: str(value) for key, value in metadata.items()})


def make(name, layers, heads, width, context, vocabulary, batch, biases, ignored):
    torch.manual_seed(len(name))
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=context, n_embd=width, n_layer=layers, n_head=heads,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, activation_function="gelu_new",
        bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            # Far from the initial values, so that every term matters.
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (1.0 if "ln" in key else 0.0)
                            * key.endswith("weight"))
            if not biases and key.endswith("bias"):
                parameter.zero_()
    metadata = {"layers": layers, "heads": heads, "width": width, "context_length": context,
                "vocabulary_size": vocabulary, "batch": batch, "bias": int(biases)}
    save(name, model, ignored, metadata)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        make(name, *case)
