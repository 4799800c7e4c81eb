"""The page on the paper's scale: estimated memory and operations, and the grid's file."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from companion.experiments.costs.estimate import Cost, costs
from companion.experiments.costs.sizes import Sizes, known_sizes
from companion.experiments.grid.grid import WORKFLOW
from companion.experiments.settings import preset as presets
from companion.experiments.settings.setting import Setting, digest
from companion.pages.markdown import list_table
from companion.paper.names import name
from companion.tables.words import model_text
from ugradsl_core.training import Execution

SCALE = "paper"
GIB = 2**30
PARTS = 4


def gib(size: float) -> str:
    """Bytes in GiB, with one decimal below ten."""
    return f"{size / GIB:.1f}" if size < 9.95 * GIB else f"{size / GIB:.0f}"


def peta(flops: float) -> str:
    """10¹⁵ operations, with three digits."""
    value = float(f"{flops / 1e15:.3g}")
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


@cache
def _shapes() -> dict[tuple[str, str], tuple[str, ...]]:
    """The paper's settings that have data set and model in common, by both."""
    found: dict[tuple[str, str], list[str]] = {}
    for preset in presets.load_presets(SCALE):
        setting = presets.preset_setting(preset, SCALE)
        found.setdefault((setting.dataset, digest(setting.model.identity())), []).append(preset)
    return {key: tuple(names) for key, names in found.items()}


@cache
def _estimated(preset: str, accumulate: int = 1) -> tuple[Setting, Sizes, dict[str, Cost]]:
    """A preset's data and rows by label."""
    setting = presets.preset_setting(preset, SCALE)
    labels = ["retrain", *presets.get_preset(preset, SCALE)["methods"]]
    configs = {label: presets.preset_config(label, preset, SCALE) for label in labels}
    sizes = known_sizes(setting)
    rows = costs(setting, configs, sizes, Execution(accumulate=accumulate))
    return setting, sizes, {row.label: row for row in rows}


def _input(shape: Sequence[int]) -> str:
    return f"{shape[0]} tokens" if len(shape) == 1 else "×".join(map(str, (*shape[1:], shape[0])))


def memory(_: Path) -> str:
    """Estimated memory of every data set and model of the paper."""
    header = (
        "Data and model", "Input", "Parameters", "Batch", "Training", "UGradSL",
        f"UGradSL, {PARTS} micro-batches", "IU", "FF",
    )  # fmt: skip
    rows = []
    for names in _shapes().values():
        setting, sizes, found = _estimated(names[0])
        cut = _estimated(names[0], PARTS)[2]
        peaks = [found["retrain"], found["ugradsl"], cut["ugradsl"], found["iu"], found["ff"]]
        rows.append(
            (
                f"{name(setting.dataset)}, {model_text(setting.model.identity())}",
                _input(sizes.shape),
                f"{found['retrain'].parameters / 1e6:.1f} M",
                str(setting.training.batch_size),
                *(gib(row.peak) for row in peaks),
            )
        )
    return list_table(header, rows, kind="numbers dense")


def operations(_: Path) -> str:
    """Estimated operations of one seed of every setting of the paper."""
    header = (
        "Setting", "$|D_r|$", "$|D_f|$", "Original", "Retrain", "UGradSL", "UGradSL+",
        "All methods but FF", "FF",
    )  # fmt: skip
    rows = []
    for preset in presets.load_presets(SCALE):
        sizes, found = _estimated(preset)[1:]
        others = [row for label, row in found.items() if label not in {"ff", "evaluation"}]
        shown = [found[label].flops for label in ("original", "retrain", "ugradsl", "ugradsl+")]
        rows.append(
            (
                f"`{preset}`",
                f"{sizes.retain:,}",
                f"{sizes.forget:,}",
                *map(peta, shown),
                peta(sum(row.flops for row in others)),
                peta(found["ff"].flops),
            )
        )
    return list_table(header, rows, kind="numbers dense")


def grid_file(_: Path) -> str:
    """The grid of the paper's settings that comes with the package."""
    return f"```yaml\n{(WORKFLOW / 'paper.yaml').read_text('utf-8').rstrip()}\n```"


FRAGMENTS = {
    "scale-memory.md": memory,
    "scale-operations.md": operations,
    "scale-grid.md": grid_file,
}
