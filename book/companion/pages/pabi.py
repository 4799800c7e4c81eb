"""The guarantee on PABI's card: ε of the defaults and presets, in both readings, and λ → 0."""

import math
from pathlib import Path

from companion.experiments.settings.preset import SCALES, load_presets, preset_config
from companion.pages.markdown import list_table
from companion.tables.config_text import shown
from companion.tables.presets import places_text
from companion.theory.renyi import epsilon, guarantee, renyi_rate
from ugradsl_core.methods.pabi import PABIConfig, noise_scale, noisy_steps

SMALL = 1e-6
EVERYWHERE = "the code's own, and every preset"


def guarantees(book: Path) -> str:
    """T, σ and ε of the defaults and of every preset; rows that agree are one row."""
    own = _row(PABIConfig())
    same: dict[tuple[str, ...], list[tuple[str, str]]] = {own: []}
    for scale in SCALES:
        for preset in load_presets(scale):
            config = PABIConfig(**preset_config("pabi", preset, scale).model_dump())
            same.setdefault(_row(config), []).append((scale, preset))
    rows = []
    for cells, places in same.items():
        names = ["the code's own"] if cells == own else []
        names += [places_text(places)] if places else []
        rows.append(["; ".join(names) if len(same) > 1 else EVERYWHERE, *cells])
    header = (
        "Where", "$C_0$", "$\\varepsilon_R$", "$T$", "$\\sigma$",
        "$\\varepsilon$, `rate`", "$\\varepsilon$, `printed`", "$\\delta$",
    )  # fmt: skip
    bound, delta = guarantee(PABIConfig())
    meaning = (
        f"With the code's own parameters, ε = {bound:.2f} lets what an attacker sees change the "
        f"odds that $D_f$ was used by a factor of up to $e^\\varepsilon$ ≈ {math.exp(bound):,.0f}, "
        f"except with a probability of δ = {shown(delta)}."
    )
    return f"{list_table(header, rows, kind='numbers')}\n\n{meaning}"


def _row(config: PABIConfig) -> tuple[str, ...]:
    where = config.c0, config.c1, config.eta, config.lam
    steps = noisy_steps(*where)
    bound, delta = guarantee(config)
    return (
        shown(config.c0),
        shown(config.epsilon_renyi),
        str(steps),
        f"{noise_scale(*where, config.epsilon_renyi, steps):.4f}",
        f"{bound:.3f}",
        f"{epsilon(config.epsilon_renyi, delta, reading='printed'):.3f}",
        shown(delta),
    )


def limit(book: Path) -> str:
    """The published noise at λ = 0 beside that of a tiny λ, for the default C₀, C₁, η and ε_R."""
    config = PABIConfig()
    c0, c1, eta, budget = config.c0, config.c1, config.eta, config.epsilon_renyi
    steps = noisy_steps(c0, c1, eta, 0.0)
    rows = []
    for name, lam in (("0, as published", 0.0), (shown(SMALL), SMALL)):
        sigma = noise_scale(c0, c1, eta, lam, budget, steps)
        rate = renyi_rate(c0, c1, eta, lam, sigma, steps)
        rows.append([name, f"{sigma**2:.4f}", f"{rate:.3f}", f"{epsilon(rate, config.delta):.3f}"])
    header = ("$\\lambda$", "$\\sigma^2$", "$\\rho$", "$\\varepsilon$, `rate`")
    return list_table(header, rows, kind="numbers")
