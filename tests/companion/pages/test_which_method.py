"""Which method when: by the protocol's test alone, for any state of the records."""

from dataclasses import replace
from pathlib import Path

from companion.experiments.records import ties
from companion.experiments.records.summary import published
from companion.pages import which_method
from companion.pages.which_method import SITUATIONS, Situation, answer, cheapest, glossary
from ugradsl_core.methods import METHODS

BOOK = Path(__file__).parents[3] / "book"
ANY = Situation("anything", lambda _: True)


def test_without_records_it_says_so(tmp_path: Path) -> None:
    assert "Not run yet" in which_method.which_method(tmp_path)
    assert "make campaign" in which_method.which_method(tmp_path)


def test_only_methods_that_a_situation_allows_are_named() -> None:
    table = ties.GapTable(
        ties.FOUR,
        {
            "ga": {0: 9.0, 1: 9.1, 2: 9.2},
            "ft": {0: 3.0, 1: 3.1, 2: 3.2},
            "ugradsl": {0: 1.0, 1: 1.1, 2: 1.2},
            "no-step": {0: 0.5, 1: 0.5, 2: 0.5},
        },
    )
    records = records_of(("ga", "ft", "ugradsl"))
    by_words = {s.words: answer(table, s, records) for s in SITUATIONS}
    assert by_words["You have both $D_r$ and $D_f$"][0] == "[UGradSL](methods/ugradsl.md) 1.1"
    assert by_words["You have $D_f$ alone"][0] == "[GA](methods/ga.md) 9.1"
    assert by_words["You have $D_r$ alone"][0] == "[FT](methods/ft.md) 3.1"
    assert [row[-1] for row in by_words.values()] == ["3", "1", "1", "3"]


def test_methods_that_cannot_be_told_apart_are_all_named_and_the_cheapest_of_them() -> None:
    table = ties.GapTable(
        ties.FOUR, {"ft": {0: 1.0, 1: 3.0, 2: 2.0}, "rl": {0: 2.5, 1: 1.5, 2: 2.3}}
    )
    near, cheap, count = answer(table, ANY, records_of(("ft", "rl"), {"ft": 10, "rl": 4}))
    assert near == "[FT](methods/ft.md) 2.0, [RL](methods/rl.md) 2.1"
    assert cheap.startswith("[RL]")
    assert count == "2"


def test_a_method_that_lost_a_run_or_lacks_seeds_is_not_recommended() -> None:
    table = ties.GapTable(
        ties.FOUR,
        {"ft": {0: 1.0, 1: 1.1}, "rl": {0: 1.0, 1: 1.1, 2: 1.2}},
        {"rl": 1},
    )
    assert answer(table, ANY, ())[0] == "no method with three seeds yet"


def test_the_cheapest_passes_the_fewest_samples_forward_and_backward() -> None:
    assert cheapest(["ft", "rl"], records_of(("ft", "rl"), {"ft": 3, "rl": 4})) == ("ft", 6.0)


def test_every_method_has_an_entry_in_the_glossary() -> None:
    page = (BOOK / "glossary.md").read_text("utf-8")
    made = glossary(BOOK)
    for label, method in METHODS.items():
        assert f"\n{method.title}\n" in page + made, label
        assert f"`{label}`" in page + made, label


def records_of(labels, samples=None):
    """Records of these methods, with as many samples forward as backward."""
    (template, *_) = published("cifar10-random10", "bench", BOOK / "results")
    return [
        replace(
            template,
            method=label,
            config=METHODS[label].config().model_dump(),
            seed=seed,
            forward_samples=(samples or {}).get(label, 1),
            backward_samples=(samples or {}).get(label, 1),
        )
        for label in labels
        for seed in range(3)
    ]
