"""Sizes of the speed table: those of a card, or tiny ones where the device is the CPU.

The helpers are those of ``tests/benchmarks``; a size in the environment wins.
"""

import gc
import os
import time

import pytest
import torch

DEVICE = os.environ.setdefault("UGRADSL_BENCHMARK_DEVICE", "cuda")
UNTIL = float(os.environ.get("UGRADSL_BENCHMARK_UNTIL", "inf"))
CARD = {"WIDTH": 64, "BATCH": 256, "STEPS": 20, "REPEATS": 3, "METHOD_REPEATS": 2,
        "MATRIX": 8192, "COPY_MIB": 1024, "WORKERS": 8, "PROCESSES": 8, "SMALL_STEPS": 200,
        "FF_SAMPLES": 16, "IU_SAMPLES": 1000}  # fmt: skip
TINY = {"WIDTH": 2, "BATCH": 4, "STEPS": 2, "REPEATS": 1, "METHOD_REPEATS": 1,
        "MATRIX": 64, "COPY_MIB": 1, "WORKERS": 0, "PROCESSES": 1, "SMALL_STEPS": 2,
        "FF_SAMPLES": 2, "IU_SAMPLES": 8, "ATTACK": 100, "FORGET": 40}  # fmt: skip
for name, value in (TINY if DEVICE == "cpu" else CARD).items():
    os.environ.setdefault(f"UGRADSL_BENCHMARK_{name}", str(value))
if DEVICE == "cpu":
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """What was imported is no garbage; each measurement collects what is."""
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a card, or when the time is up, nothing is measured."""
    if DEVICE != "cpu" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if time.time() > UNTIL:
        pytest.skip("the time is up")
