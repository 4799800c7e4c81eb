"""Peak memory of an epoch over a folder of images: ``epoch_memory.py FOLDER stream|memory``.

A process of its own, as the peak of a process never falls. Linux only: ``VmHWM`` is the largest
resident size since the program was started.
"""

import json
import sys
from pathlib import Path

import torch

from companion.experiments import data
from ugradsl_core.training import shuffled

BATCH, WORKERS, PREFETCH, IMAGE_SIZE = 128, 2, 2, 64


def peak() -> float:
    """Largest resident size so far, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmHWM")


def main(folder: str, how: str) -> dict[str, float | int | str]:
    torch.set_num_threads(1)
    before = peak()
    options = {"workers": WORKERS, "prefetch": PREFETCH, "image_size": IMAGE_SIZE}
    samples = data.load(f"folder:{folder}", stream=how == "stream", **options).train
    loaded = peak()
    generator = torch.Generator().manual_seed(0)
    plan = shuffled(len(samples), BATCH, generator)
    seen = 0
    for _, labels in samples.batches(plan, augment="crop-flip", generator=generator):
        seen += len(labels)
    return {
        "how": how,
        "images": seen,
        "imported_mib": before,
        "loaded_mib": loaded,
        "peak_mib": peak(),
        "image_size": IMAGE_SIZE,
        "batch": BATCH,
        "workers": WORKERS,
        "prefetch": PREFETCH,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
