#!/usr/bin/env python3
"""Golden file for a checkpoint's config.json: GPT-2's configuration as Transformers writes it.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install torch==2.13.0+cpu transformers==5.23.0
Run:     .venv/bin/python Tests/Golden/make_configuration_golden.py

Every key has a value, defaults included, so that the test sees what a missing key would mean.
"""
import json
import pathlib

from transformers import GPT2Config

FILE = pathlib.Path(__file__).parent.parent / "ModelTests" / "Golden" / "config.json"

if __name__ == "__main__":
    config = GPT2Config(
        architectures=["GPT2LMHeadModel"], dtype="float32", vocab_size=50257, n_positions=96,
        n_embd=48, n_layer=3, n_head=4, resid_pdrop=0.15, embd_pdrop=0.15, attn_pdrop=0.15,
        bos_token_id=50256, eos_token_id=50256)
    entries = config.to_dict()
    del entries["transformers_version"]
    FILE.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
