"""Published peaks of memory against the model with the stack's own constants, by the kind of counter that printed them.

SimuMax 1.2 (docs/b200): peak allocated by torch. torchtitan, December 2024 (docs, Llama 3.1 on H100): peak reserved.
Korthikanti et al. 2022, Figure 1: activations of the first stage. BigScience (BLOOM prequel, chronicles): of the
device, printed in GB.
"""

from __future__ import annotations

import statistics

import pytest

from costsim.inputs.stack import load_stack
from costsim.training import memory, stages
from costsim.training.architecture import Architecture, Attention, Experts
from costsim.training.device import Workload
from costsim.training.layout import Layout

GIB = 2.0**30
LLAMA_12 = Architecture(12, 8192, 64, 8, 128, 28672, 128256)
LLAMA_8B = Architecture(32, 4096, 32, 8, 128, 14336, 128256)
DEEPSEEK_4 = Architecture(
    4, 7168, 128, 128, 128, 18432, 129280,
    experts=Experts(256, 8, 2048, shared=1, shared_ffn_size=2048, dense_layers=1),
    attention=Attention("mla", q_rank=1536, kv_rank=512, nope_size=128, rope_size=64, v_size=128),
)  # fmt: skip
SIMUMAX = [  # model, tensor, pipeline, context, expert, data, sequence, GiB
    (LLAMA_12, 1, 2, 1, 1, 4, 4096, 66.55),
    (LLAMA_12, 2, 1, 1, 1, 4, 4096, 60.68),
    (LLAMA_12, 4, 1, 1, 1, 2, 4096, 39.07),
    (LLAMA_12, 8, 1, 1, 1, 1, 4096, 28.29),
    (LLAMA_12, 1, 1, 8, 1, 1, 32768, 104.51),
    (LLAMA_12, 1, 1, 8, 1, 1, 131072, 147.99),
    (LLAMA_12, 2, 1, 4, 1, 1, 32768, 68.43),
    (LLAMA_12, 2, 1, 4, 1, 1, 131072, 112.67),
    (DEEPSEEK_4, 1, 2, 1, 4, 4, 4096, 114.0),
    (DEEPSEEK_4, 1, 1, 1, 8, 8, 4096, 104.3),
]


def constants(name):
    return load_stack(name).stack.constants()


@pytest.mark.parametrize("row", SIMUMAX)
def test_simumax_peak_allocated(row):
    a, tensor, pipeline, context, expert, data, sequence, measured = row
    lay = Layout(
        tensor=float(tensor),
        pipeline=float(pipeline),
        context=float(context),
        expert=float(expert),
        data=float(data),
        sequence_parallel=1.0,
        gradient_accumulation=8.0,
    )
    software = constants("megatron-core")
    used = memory.memory(a, software, lay, Workload(float(sequence), 64.0))
    assert float(memory.counted(used, "allocated")) / GIB == pytest.approx(measured, rel=0.01)


def torchtitan(recompute, data, context, sequence, micro):
    lay = Layout(data=float(data), context=float(context), sharding=3.0, micro_batch=float(micro), recompute=recompute)
    used = memory.memory(LLAMA_8B, constants("torchtitan"), lay, Workload(float(sequence), float(data * micro), 1.0))
    return float(memory.counted(used, "reserved")) / GIB


def test_torchtitan_peak_reserved():
    compiled = {
        (1.0, 8, 1, 8192, 2): 77.0,
        (1.0, 128, 1, 8192, 2): 62.0,
        (2.0, 8, 1, 32768, 1): 83.9,
        (2.0, 4, 2, 65536, 1): 84.2,
        (2.0, 2, 4, 131072, 1): 84.0,
        (2.0, 1, 8, 262144, 1): 84.5,
    }
    errors = [abs(torchtitan(*key) / measured - 1) for key, measured in compiled.items()]
    assert statistics.median(errors) < 0.03
    assert max(errors) < 0.07


def test_bloom_prequel_on_the_device():
    # 80 layers of 13,824 on 40 nodes, tensor 8, pipeline 10, data 4, by micro-batch: 33, 39, 53, 73 GB.
    a = Architecture(80, 13824, 64, 64, 216, 55296, 250880, gated_ffn=False, tied_embeddings=True)
    for micro, gigabytes in ((1, 33), (2, 39), (4, 53), (8, 73)):
        lay = Layout(
            tensor=8.0,
            pipeline=10.0,
            data=4.0,
            micro_batch=float(micro),
            gradient_accumulation=512.0 / micro,
            recompute=2.0,
        )
        used = memory.memory(a, constants("megatron-deepspeed"), lay, Workload(2048.0, 2048.0))
        assert float(memory.counted(used, "device")) / 1e9 == pytest.approx(gigabytes, rel=0.08)


KORTHIKANTI_22B = Architecture(48, 6144, 64, 64, 96, 24576, 51200, gated_ffn=False, tied_embeddings=True)
KORTHIKANTI_175B = Architecture(96, 12288, 96, 96, 128, 49152, 51200, gated_ffn=False, tied_embeddings=True)


@pytest.mark.parametrize(
    ("a", "pipeline", "chunks", "micro", "split", "measured"),
    [
        (KORTHIKANTI_22B, 1, 1, 4, 0.0, 59.25),
        (KORTHIKANTI_22B, 1, 1, 4, 1.0, 9.56),
        (KORTHIKANTI_175B, 8, 3, 1, 0.0, 66.84),
        (KORTHIKANTI_175B, 8, 3, 1, 1.0, 12.35),
    ],
)
def test_korthikanti_activations_of_the_first_stage(a, pipeline, chunks, micro, split, measured):
    lay = Layout(
        tensor=8.0,
        pipeline=float(pipeline),
        virtual_pipeline=float(chunks),
        micro_batch=float(micro),
        gradient_accumulation=64.0,
        sequence_parallel=split,
        recompute=split,  # the same rows recompute the attention core
    )
    parts = memory.pieces(a, constants("megatron-2021"), lay, Workload(2048.0, 64.0))
    stored = memory.stored_bytes(parts, stages.stage_of(a, lay, 0.0))
    assert float(stored) / GIB == pytest.approx(measured, rel=0.001)
