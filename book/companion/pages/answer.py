"""The answer in ten seconds: three sentences on what holds and what does not, by the records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from companion.experiments.records.ties import BETTER, FEW, NOT_RUN, TIED, UNDECIDED, WORSE
from companion.experiments.settings.preset import preset_setting
from companion.pages.claims import badge
from companion.paper.claims import Scored, scoreboard
from companion.paper.claims.published import Published, load_published
from companion.paper.claims.records import SMOOTHING, measures_in, pairwise
from companion.tables.findings import listed
from companion.tables.words import describe_training

PRESET, SCALE = "cifar10-random10", "bench"
MAIN_SETTINGS = 2  # with a search of their own, each with both pairs of the title's claim
IN_COMPARISONS = {
    BETTER: "nearer to Retrain",
    WORSE: "further from Retrain",
    TIED: "tied",
    UNDECIDED: "undecided",
    FEW: "open for want of seeds",
}
TITLE = {
    "reproduced": "The smoothing itself helps",
    "partly": "The smoothing itself helps in part",
    "tied": "Smoothing or none cannot be told apart",
    "undecided": "The smoothing itself makes no difference above the noise floor",
    "not reproduced": "The smoothing itself does not help",
    FEW: "Whether the smoothing itself helps is open",
    NOT_RUN: "Whether the smoothing itself helps has not been run yet",
}
IMPROVES = {
    "reproduced": "{} improves on {}",
    "partly": "{} improves on {} in part",
    "tied": "{} cannot be told from {}",
    "undecided": "{} against {} is undecided",
    "not reproduced": "{} does not improve on {}",
    FEW: "{} against {} has too few seeds so far",
    NOT_RUN: "{} against {} has not been run yet",
}
BEST = {
    "reproduced": "UGradSL+ comes nearest to Retrain",
    "partly": "UGradSL+ comes nearest to Retrain in part",
    "tied": "UGradSL+ is one of several methods that cannot be told from the nearest",
    "undecided": "which method comes nearest is undecided",
    "not reproduced": "other methods come nearer to Retrain than UGradSL+",
    FEW: "which method comes nearest has too few seeds so far",
    NOT_RUN: "which method comes nearest has not been run yet",
}
KINDS = {  # what our records do to a claim → outcomes
    "contradict": ("not reproduced",),
    "reproduce": ("reproduced",),
    "reproduce in part": ("partly",),
    "cannot decide": ("tied", "undecided", FEW),
}
FEW_TITLES = 2  # that a sentence can name


def answer(book: Path) -> str:
    """The three sentences, with links, and what they rest on."""
    published = load_published(SCALE, book / "results")
    scored = {row.claim.key: row for row in scoreboard(published=published, root=book)}
    setting = preset_setting(PRESET, SCALE)
    sentences = (title(scored, published), methods(scored), printed(scored))
    return "\n".join(
        [
            ":::{div} answer",
            *(f"- {sentence}" for sentence in sentences),
            "",
            "[Avg. Gap](how-to-read.md#reading-a-table-of-results): the mean distance to Retrain, "
            "a model trained anew without the data to forget, in four metrics; Avg. Gap (5) has a "
            f"fifth. Our scale: {describe_training(setting.identity(), SCALE)}. "
            "[Claims and rules](claims.md) · [leaderboard](leaderboard.md) · "
            "[protocol](protocol.md)",
            ":::",
        ]
    )


def link(key: str, text: str) -> str:
    """Text that leads to a claim's words, rule and evidence."""
    return f"{{ref}}`{text} <claim-{key}>`"


def title(scored: Mapping[str, Scored], published: Published) -> str:
    """The title's claim: the same methods with and without smoothing, at the same budget."""
    judged = scored["smoothing"].ours
    text = f"{badge(judged, strength=False)} **{link('smoothing', TITLE[judged.outcome])}**"
    if judged.outcome == NOT_RUN:
        return f"{text}: no setting has results with α < 0 and with α = 0 at the same budget."
    if judged.outcome == FEW:
        return f"{text}: α < 0 and α = 0 have been compared in fewer than three seeds so far."
    tallies = {measure: _tally(published, measure) for measure in measures_in(published)}
    if all(found == next(iter(tallies.values())) for found in tallies.values()):
        parts = [_counted(next(iter(tallies.values())))]
    else:
        parts = [f"by {measure} {_counted(found)}" for measure, found in tallies.items()]
    return (
        f"{text}: with negative smoothing (α < 0), against the same method without it (α = 0) at "
        f"the same budget, a model comes out {'; '.join(parts)}."
    )


def _tally(published: Published, measure: str) -> Counter[str]:
    """How often each outcome came out of the title's comparisons."""
    return Counter(pair.outcome for _, pair in pairwise(published, SMOOTHING, measure))


def _counted(found: Counter[str]) -> str:
    count = sum(found.values())
    cases = f"{count} comparison{'s' * (count > 1)}"
    cases += " so far" if count < MAIN_SETTINGS * len(SMOOTHING) else ""
    parts = [(words, found[outcome]) for outcome, words in IN_COMPARISONS.items() if found[outcome]]
    if len(parts) == 1:
        every = "all" if count > 1 else "the one"
        return f"{parts[0][0]} in {every} {cases.removeprefix('1 ')}"
    return f"{listed([f'{words} in {number}' for words, number in parts])} of {cases}"


def methods(scored: Mapping[str, Scored]) -> str:
    """The paper's methods against those they extend, who is nearest, and all claims counted."""
    outcomes = {key: scored[key].ours.outcome for key in ("ga", "ft", "best")}
    if set(outcomes.values()) == {NOT_RUN}:
        text = (
            f"{link('ga', 'UGradSL against GA')}, {link('ft', 'UGradSL+ against FT')} and "
            f"{link('best', 'who comes nearest to Retrain')} have not been run yet"
        )
    else:
        text = listed(
            [
                link("ga", IMPROVES[outcomes["ga"]].format("UGradSL", "GA")),
                link("ft", IMPROVES[outcomes["ft"]].format("UGradSL+", "FT")),
                link("best", BEST[outcomes["best"]]),
            ]
        )
    return f"**In our records** {text}; {ours(list(scored.values()))}"


def ours(scored: Sequence[Scored]) -> str:
    """How many claims our records decide, and how; those that they contradict come first."""
    found = {
        kind: [row for row in scored if row.ours.outcome in outcomes]
        for kind, outcomes in KINDS.items()
    }
    parts = [f"{kind} {len(rows)}" for kind, rows in found.items() if rows]
    against = found["contradict"]
    named = f" ({quoted(against)})" if 0 < len(against) <= FEW_TITLES else ""
    parts = [part + named * part.startswith("contradict") for part in parts]
    waiting = sum(row.ours.outcome == NOT_RUN for row in scored)
    if waiting:
        parts.append(f"have nothing yet on {waiting}")
    return f"of the paper's [{len(scored)} claims](claims.md) they {listed(parts)}."


def quoted(scored: Sequence[Scored]) -> str:
    """Titles of claims, with links."""
    return ", ".join(f"“{link(row.claim.key, row.claim.title)}”" for row in scored)


def printed(scored: Mapping[str, Scored]) -> str:
    """What already fails by the numbers that the paper prints."""
    rows = list(scored.values())
    failed = [row for row in rows if row.paper.outcome == "not supported"]
    partly = sum(row.paper.outcome == "partly" for row in rows)
    whole = sum(row.paper.outcome == "supported" for row in rows)
    lead = "**By the paper's own printed numbers**, [audited](../notebooks/paper_audit.ipynb), "
    if not failed:
        return f"{lead}no claim fails; {partly} hold in part and {whole} in full."
    count = f"{len(failed)} of {len(rows)} claims fail{'s' * (len(failed) == 1)}"
    return (
        f"{lead}{count}: {quoted(failed)}; {partly} hold{'s' * (partly == 1)} in part and {whole} "
        "in full."
    )


FRAGMENTS = {"answer.md": answer}
