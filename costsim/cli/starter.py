"""The scenario that ``costsim new`` writes: complete, commented, and planned as it is."""

from __future__ import annotations

import json
from pathlib import PurePath

_TEXT = """\
# A scenario of costsim. Plan it with: costsim plan FILE
# Whatever is left out has a default, which the plan names. A number may be a range, such as 1.8 to 3.2 USD/h:
# a 90 % interval, which every figure that depends on it then shows.
# costsim show models, hardware, stacks, laws and sites list the names that can stand below.
costsim: 1
name: {name}
question: What does this run cost, and when is it repaid?

# What is trained: a name, the path of a Hugging Face config.json, or a shape of your own, such as
# {{layers: 32, hidden_size: 4096, heads: 32, kv_heads: 8, ffn_size: 14336, vocab_size: 128256}}.
model: llama-3.1-8b

training:
  tokens: 2T
  sequence_length: 8192
  global_batch_tokens: 4M
  precision: bf16

# On what. The layout is searched unless it is given: layout: {{tensor: 2, pipeline: 1, micro_batch: 1}}.
cluster:
  accelerator: h100-sxm
  accelerators: 256

law: besiroglu-2024        # the scaling law behind the loss

cost:
  basis: rent              # rent, own or amortised: which one is the total; all are shown
  rent: {{usd_per_accelerator_hour: 1.8 to 3.2 USD/h}}
  research_multiplier: 3   # all compute of the programme over that of the final run

# Leave out what follows, and the plan ends with the training run.
serving:
  accelerator: h100-sxm
  accelerators_per_replica: 1
  precision: bf16
  input_tokens: 2000       # a request
  output_tokens: 500
  speed: 40 tokens/s       # promised to each user; bounds the batch, and so the price
  usd_per_accelerator_hour: 1.8 to 3.2 USD/h

demand:
  launch_delay: 2 months
  peak: 50B to 200B tokens/day
  ramp: {{kind: logistic, midpoint: 4 months, width: 1.5 months}}
  life: 18 months

price:
  input: 0.10 USD/Mtok
  output: 0.40 USD/Mtok

finance:
  discount_rate: 12%
  cash: 50M USD

uncertainty: {{draws: 10000, seed: 0}}
"""


def starter(path: str) -> str:
    """The starter with the name of its file."""
    return _TEXT.format(name=json.dumps(PurePath(path).stem, ensure_ascii=False))
