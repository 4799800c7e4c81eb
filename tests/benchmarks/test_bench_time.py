"""What one seed of every bench preset takes, from a calibration: at most twenty minutes."""

import pytest

from companion.experiments.costs.calibration import calibrate
from companion.experiments.costs.estimate import costs
from companion.experiments.costs.sizes import known_sizes
from companion.experiments.settings.preset import load_presets, preset_config, preset_setting
from measure import CHECK, keep, size
from setting import EXECUTION

LIMIT = 20.0


@pytest.mark.parametrize("name", load_presets("bench"))
def test_one_seed_of_all_methods_takes_at_most_twenty_minutes(name: str) -> None:
    """Original model, Retrain, every method of the preset and the evaluations.

    IU apart: what is known of it is a bound, which it reaches only if it does not converge.
    """
    setting = preset_setting(name, "bench")
    labels = ["retrain", *load_presets("bench")[name]["methods"]]
    configs = {label: preset_config(label, name, "bench") for label in labels}
    sizes = known_sizes(setting)
    speed = calibrate(setting, sizes, EXECUTION, budget=size("BUDGET", 10), fisher=True)
    rows = costs(setting, configs, sizes, EXECUTION, speed=speed)
    parts = {row.label: (row.seconds or 0.0) * row.runs / 60 for row in rows}
    minutes = sum(parts.values())
    known = minutes - parts["iu"]
    print(f"\n{name}: {known:.1f} min (limit {LIMIT:.0f}), and IU at most {parts['iu']:.1f}")
    keep(
        {
            "name": f"bench time {name}",
            "preset": name,
            "minutes": minutes,
            "parts": parts,
            "limit": LIMIT,
        }
    )
    if CHECK:
        assert known <= LIMIT
