"""Made-up records of every method, for pages and tables; nothing of them is a result."""

import random

from companion.experiments.records.record import Record
from companion.experiments.settings.labels import LABELS
from companion.experiments.settings.preset import preset_setting
from companion.experiments.settings.setting import digest
from records import record

NO_ADD = ("UA", "MIA", "RA", "TA")


def every_method(preset: str, seeds: int = 3, diverged: str = "") -> list[Record]:
    """Records of all labels of a preset at bench scale, the same for the same arguments.

    Args:
        preset: such as ``cifar10-random10``.
        seeds: how many.
        diverged: a label all of whose runs diverged.
    """
    setting = preset_setting(preset, "bench").identity()
    draw = random.Random(preset)
    made = []
    for label in LABELS:
        base = [50.0 if label == "retrain" else draw.uniform(30, 70) for _ in range(5)]
        for seed in range(seeds):
            values = [value + draw.gauss(0, 1) for value in base]
            failed = label == diverged
            made.append(
                record(
                    label,
                    seed,
                    scale="bench",
                    setting=setting,
                    setting_hash=digest(setting),
                    status="diverged" if failed else "ok",
                    metrics={} if failed else dict(zip((*NO_ADD, "add_MIA"), values, strict=True)),
                    seconds=draw.uniform(1, 100),
                )
            )
    return made
