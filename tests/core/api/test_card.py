"""The section of a model card: what is in it, and that it follows from result and scores."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from api_cases import FORGET, RETAIN, TEST, model, run
from toys import CPU
from ugradsl_core import Comparison, ConfigError, compare, load_result, model_card
from ugradsl_core.api.card import LIMITS, weights_sha256
from ugradsl_core.samples.overlap import CHOICES, NOT_SEEN

SETS: dict[str, Any] = {"retain": RETAIN, "forget": FORGET, "test": TEST, "execution": CPU}
WHAT = "Eight pictures,\nas somebody asked."


@pytest.fixture(scope="module")
def result() -> Any:
    return run("ugradsl", alpha=-0.3, seed=5)


@pytest.fixture(scope="module")
def scores(result: Any) -> Comparison:
    return compare(original=model(), unlearned=result, retrained=run("retrain"), **SETS)


def section(text: str, title: str) -> str:
    return text.split(f"### {title}\n")[1].split("\n###", maxsplit=1)[0]


def test_what_and_how(result: Any, scores: Comparison, tmp_path: Path) -> None:
    text = model_card(result, scores, forgotten=WHAT, path=tmp_path / "new" / "card.md")
    assert (tmp_path / "new" / "card.md").read_text("utf-8") == text
    assert text.startswith("## Unlearning\n")
    what = section(text, "What was forgotten")
    assert "Eight pictures, as somebody asked." in what
    assert "8 of 32 training samples (25 %); 24 are retained." in what
    how = section(text, "How")
    for name, value in result.config.model_dump().items():
        assert f"{name}={value!r}" in how
    assert "UGradSL (`ugradsl`)" in how
    assert "- Seed: 5\n" in how
    counts = result.result
    assert f"{counts.steps} steps, {counts.forward_samples} samples passed forward" in how
    assert weights_sha256(result.model.state_dict()) in how


def test_scores_with_and_without_retrain(result: Any, scores: Comparison) -> None:
    found = section(model_card(result, scores, forgotten=WHAT), "Scores")
    rows = [line.strip("| ").split(" | ") for line in found.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == ["original", "unlearned", "retrained"]
    (gap,) = (r["avg_gap"] for r in scores.rows() if r["model"] == "unlearned")
    assert f"mean distance is {gap:.2f} points" in found
    assert f"{scores.reports['unlearned'].UA:.2f}" in rows[3]
    alone = compare(unlearned={"mine": result}, **SETS)
    found = section(model_card(result, alone, forgotten=WHAT, name="mine"), "Scores")
    assert "No model was retrained" in found
    assert "mean distance" not in found
    assert "Δ" not in found


def test_an_attack_without_a_signal_is_explained(result: Any, scores: Comparison) -> None:
    report = replace(scores.reports["unlearned"], MIA=math.nan)
    found = model_card(result, Comparison({**scores.reports, "unlearned": report}), forgotten=WHAT)
    assert "An MIA of nan is not a score" in found
    assert "An MIA of nan" not in model_card(result, scores, forgotten=WHAT)


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_not_proven_names_how_overlap_was_looked_for(
    choice: str, scores: Comparison
) -> None:
    found = model_card(run("ga", check_overlap=choice), scores, forgotten=WHAT)
    limits = section(found, "What this does not prove")
    assert [line.removeprefix("- ") for line in limits.strip().splitlines()] == [
        *LIMITS,
        NOT_SEEN[choice],  # type: ignore[index]
    ]
    assert f"check_overlap='{choice}'" in NOT_SEEN[choice]  # type: ignore[index]


def test_a_loaded_result_gives_the_same_card(
    result: Any, scores: Comparison, tmp_path: Path
) -> None:
    result.save(tmp_path / "x")
    again = load_result(tmp_path / "x", model())
    assert again.run == result.run
    assert model_card(again, scores, forgotten=WHAT) == model_card(result, scores, forgotten=WHAT)
    older = replace(result, run=None)
    older.save(tmp_path / "y")
    assert load_result(tmp_path / "y", model()).run is None
    text = model_card(older, scores, forgotten=WHAT)
    assert "Seed" not in text
    assert "check_overlap" not in text


def test_bad_arguments_are_named(result: Any, scores: Comparison) -> None:
    for nothing in (" \n", "", 3):
        with pytest.raises(ConfigError, match=r"^forgotten: should say what was forgotten"):
            model_card(result, scores, forgotten=nothing)  # type: ignore[arg-type]
    for name in ("unlearnt", "retrained"):
        with pytest.raises(ConfigError, match="Valid: original, unlearned"):
            model_card(result, scores, forgotten=WHAT, name=name)
    with pytest.raises(ConfigError, match=r"^result: should be of Unlearned; found CNN"):
        model_card(result.model, scores, forgotten=WHAT)
    with pytest.raises(ConfigError, match=r"^scores: should be of Comparison; found None"):
        model_card(result, None, forgotten=WHAT)  # type: ignore[arg-type]


def test_a_name_with_a_bar_stays_in_its_cell(result: Any) -> None:
    table = compare(unlearned={"a|b": result}, **SETS).to_markdown()
    assert table.splitlines()[2].startswith(r"| a\|b | ")
    assert table.splitlines()[1] == "| :-- | --: | --: | --: | --: |"


def test_the_hash_sees_names_types_shapes_and_values() -> None:
    start = {"a": torch.tensor([[1.0, 2.0]]), "n": torch.tensor(3), "other": "no tensor"}
    others = [
        {"b": start["a"], "n": start["n"]},
        {**start, "a": start["a"].double()},
        {**start, "a": start["a"].T},
        {**start, "a": torch.tensor([[1.0, 2.5]])},
        {**start, "a": start["a"].to(torch.bfloat16)},
    ]
    hashes = {weights_sha256(state) for state in (start, *others)}
    assert len(hashes) == 1 + len(others)
    strided = torch.tensor([[1.0, 9.0, 2.0, 9.0]])[:, ::2]
    assert weights_sha256({**start, "a": strided}) == weights_sha256(start)
