"""The claims, in the order in which the paper makes them."""

from dataclasses import dataclass

from companion.paper.audit.ranks import PROPOSED
from companion.paper.claims import paper, records
from companion.paper.claims.rules import BASES, MARGINAL

NOTEBOOK = "../notebooks/{}.ipynb"
AUDIT = ("the audit", NOTEBOOK.format("paper_audit"))
RANDOM = ("random forgetting", NOTEBOOK.format("random_forgetting"))
CLASS_WISE = ("class-wise forgetting", NOTEBOOK.format("class_wise_forgetting"))
NUMBERS = ("the numbers", "paper-numbers.md")
READINGS = "readings.md#{}"


@dataclass(frozen=True)
class Claim:
    """One thing that the paper says.

    Attributes:
        key: a short name.
        title: the claim, as a sentence without a full stop.
        place: where the paper says so.
        words: the paper's words.
        measure: what decides it.
        rule: when it counts as reproduced (the paper's numbers: supported), when as partly so;
            otherwise it is not.
        pages: titles and paths, from a page of the book, of what shows it.
        paper: judges it by the paper's own numbers.
        ours: judges it by our records.
    """

    key: str
    title: str
    place: str
    words: str
    measure: str
    rule: str
    pages: tuple[tuple[str, str], ...]
    paper: paper.Judge
    ours: records.Judge


HALF = "In every comparison; partly: in more than half."
TEST = (
    "Ours: better, which takes a two-sided paired t test over at least three seeds at the 5 % "
    "level, corrected by Holm's procedure for all comparisons of this claim, and a difference "
    "above the noise floor; in every setting, by Avg. Gap over four metrics and over five. Partly: "
    "in some. Tied: no test rejects. Not reproduced: worse in some settings, better in none."
)
NEARER = (
    "The paper's numbers: smaller in every table that compares the two; partly: in more than half. "
)
EVERY_GAP = NEARER + TEST
SETS = (
    "The paper's numbers: in every comparison; partly: in more than half. Ours: ranks are sets of "
    "methods that paired t tests, corrected by Holm's procedure for all pairs of a setting, cannot "
    "tell apart. "
)
ALONE = SETS + (
    "Reproduced: every method that cannot be told from the best is one of these; tied: some are. "
    "Partly at most while a method of the paper has no records in a setting."
)
MARGIN = (
    "Ours: paired t tests against that margin, corrected by Holm's procedure; tied where they "
    "cannot tell on which side of it a difference lies."
)
FACTOR_TWO = (
    "For both methods the largest gap of the sweep is at most twice the smallest; partly: for one, "
    "or no gap exceeds that of the method which is improved."
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "smoothing",
        "The smoothing itself helps",
        "Title; Section 3.3",
        "Label smoothing improves machine unlearning",
        "Avg. Gap of UGradSL+ and of UGradSL, each against the same method at α = 0: NegGrad+ over "
        "D_r and over D_f, searched with the same budget",
        TEST,
        (RANDOM, CLASS_WISE),
        paper.no_numbers("No table has a row at α = 0."),
        records.improves(records.SMOOTHING),
    ),
    Claim(
        "ga",
        "UGradSL improves on gradient ascent",
        "Abstract",
        "UGradSL improves over the gradient ascent MU baseline constantly on different unlearning "
        "tasks",
        "Avg. Gap of UGradSL and of GA",
        EVERY_GAP,
        (AUDIT, RANDOM, CLASS_WISE),
        paper.improves("ugradsl", "ga"),
        records.improves((("ugradsl", "ga"),)),
    ),
    Claim(
        "ft",
        "UGradSL+ improves on fine-tuning",
        "Section 5.2.1",
        "UGradSL and UGradSL+ can boost the performance of GA and FT, respectively",
        "Avg. Gap of UGradSL+ and of FT",
        EVERY_GAP,
        (AUDIT, RANDOM, CLASS_WISE),
        paper.improves("ugradsl+", "ft"),
        records.improves((("ugradsl+", "ft"),)),
    ),
    Claim(
        "accuracy",
        "The improvement costs no accuracy on retained and test data",
        "Section 5.2.1",
        "without an increment in RTE or drop in TA and RA",
        "RA and TA of UGradSL against GA's, and of UGradSL+ against FT's, class-wise",
        f"Neither falls by more than one point. {HALF} {MARGIN}",
        (AUDIT, CLASS_WISE),
        paper.accuracy_kept,
        records.accuracy_kept,
    ),
    Claim(
        "cost",
        "The additional cost is marginal",
        "Abstract; Section 5.2.1",
        "only at a marginal cost of additional computations",
        "Cost of UGradSL over GA's, and of UGradSL+ over FT's: printed run times; ours: samples "
        "passed forward and backward in an epoch, and by the cheapest trials of the search that "
        "come equally near to Retrain",
        f"At most {MARGINAL:g} times. {HALF}",
        (AUDIT, RANDOM),
        paper.costs(BASES),
        records.marginal(BASES),
    ),
    Claim(
        "best",
        "UGradSL+ has the smallest Avg. Gap",
        "Figure 1 (b) and the bold entries of the tables; the text says less, see the next claim",
        "UGradSL+ attains the best average gap",
        "Which method has the smallest Avg. Gap; the self-adaptive form counts as UGradSL+",
        ALONE,
        (AUDIT, RANDOM),
        paper.best(("ugradsl+", "ugradsl+ (adp)")),
        records.best(("ugradsl+", "ugradsl+:adaptive")),
    ),
    Claim(
        "top",
        "UGradSL+ is always among the best methods",
        "Section 5.4",
        "UGradSL+ can always perform as top-tier methods",
        "The place of UGradSL+, at a fixed rate, by Avg. Gap",
        SETS + "Reproduced: no possible rank is below the third; tied: some are. Partly at most "
        "while a method of the paper has no records in a setting.",
        (AUDIT, RANDOM),
        paper.among_best("ugradsl+"),
        records.among_best("ugradsl+"),
    ),
    Claim(
        "proposed",
        "The paper's methods outperform the others",
        "Section 5.4",
        "the proposed methods still outperform the other baseline methods",
        "Whether UGradSL, UGradSL+ or a self-adaptive form has the smallest Avg. Gap",
        ALONE,
        (AUDIT, RANDOM),
        paper.best(PROPOSED),
        records.best(records.PROPOSED),
    ),
    Claim(
        "plus",
        "UGradSL+ is more comprehensive than UGradSL, and costs more",
        "Section 4",
        "UGradSL+ will lead to a more comprehensive result but with a larger computation cost",
        "Avg. Gap and cost of the two",
        "A smaller gap and a larger cost, each in every comparison; partly: one of them, or in "
        f"more than half. {TEST} The cost is that of an epoch.",
        (AUDIT, RANDOM),
        paper.plus,
        records.plus,
    ),
    Claim(
        "adaptive",
        "The self-adaptive rate is at least as good as a fixed one",
        "Section 4; Table 10",
        "To gain better performance, we improve UGradSL and UGradSL+ by taking every data point "
        "into consideration",
        "Avg. Gap of the self-adaptive forms and of the fixed rate; ours with the negative sign",
        "The paper's numbers: at most as large in every comparison; partly: in more than half. "
        + TEST,
        (AUDIT, RANDOM, ("the sign", READINGS.format("the-sign-of-the-self-adaptive-rate"))),
        paper.adaptive,
        records.improves(records.ADAPTIVE),
    ),
    Claim(
        "adaptive-cost",
        "The self-adaptive rate costs next to nothing",
        "Appendix D.4",
        "this overhead is negligible relative to the usual forward/backward passes",
        "Time of the self-adaptive forms over that of the fixed rate: printed run times; ours: "
        "seconds for each sample passed",
        f"At most {MARGINAL:g} times. {HALF} Ours undecided: a ratio below {1 / MARGINAL:g}, as "
        "the self-adaptive form does all that the other does; then the machine was busy.",
        (AUDIT, RANDOM),
        paper.costs(paper.ADAPTIVE),
        records.costs(records.ADAPTIVE, records.seconds_per_sample, "Ratio of seconds a sample"),
    ),
    Claim(
        "p",
        "The methods are stable in p",
        "Section 5.3; Figure 3, Tables 13 and 14",
        "our methods are relatively stable with respect to p",
        "Avg. Gap over p in [0.8, 1), at α = −0.4",
        FACTOR_TWO,
        (NUMBERS, AUDIT),
        paper.stable("p"),
        records.stable("p"),
    ),
    Claim(
        "alpha",
        "The methods are stable in α",
        "Section 5.3; Figure 4, Tables 15 and 16",
        "both UGradSL and UGradSL+ remain stable",
        "Avg. Gap over α in [−0.9, −0.1], at p = 0.9",
        FACTOR_TWO,
        (NUMBERS, AUDIT),
        paper.stable("alpha"),
        records.stable("alpha"),
    ),
    Claim(
        "condition",
        "The condition of Theorem 2 always holds in practice",
        "Appendix E.10; Figure 6",
        "is always practically valid",
        "The sign of ⟨Δθ_r − Δθ_f, Δθ_n − Δθ_f⟩ over forget sets",
        "At most zero for every forget set of every model, at the smallest damping with which all "
        "of a model's sets were solved; partly: for at least 95 %.",
        (("Theorem 2", NOTEBOOK.format("theory_5_theorem_2")),),
        paper.no_numbers("Figure 6 shows distributions; the paper prints no number of them."),
        records.condition,
    ),
    Claim(
        "ldp",
        "A more negative α gives more label privacy",
        "Section 3.4; Theorem 3",
        "when α is more negative, the privacy of the labels in the forgetting dataset is better",
        "Whether Theorem 3's ε falls with α over its whole domain; ours: measured ε",
        "Over all of the domain; partly: over a part of it. Ours: the mean over seeds falls at "
        "every step of the grid of α in every model; partly: at more than half of the steps.",
        (("label-LDP", NOTEBOOK.format("theory_6_label_ldp")),),
        paper.more_negative_is_more_private,
        records.more_negative_is_more_private,
    ),
    Claim(
        "streisand",
        "Forgetting does not make the forgotten data conspicuous",
        "Appendix E.6; Figure 5",
        "our method will not lead to the extra hint of D_f",
        "Additional MIA, the accuracy of an attack that separates D_f from D_te; random forgetting",
        f"For every method at most two points above Retrain's; partly: for some. {MARGIN}",
        (AUDIT, RANDOM),
        paper.not_conspicuous,
        records.not_conspicuous,
    ),
    Claim(
        "epochs",
        "With more epochs GA collapses and UGradSL+ stays stable",
        "Appendix E.11; Table 19",
        "For UGradSL+, the algorithm is much more stable",
        "TA of GA and of UGradSL+, and Avg. Gap of UGradSL+, over the epochs",
        "GA's TA falls below half of Retrain's, that of UGradSL+ never does, and its largest gap "
        "is at most twice its smallest; partly: all but the last.",
        (NUMBERS, AUDIT),
        paper.epochs,
        records.epochs,
    ),
    Claim(
        "size",
        "The methods are robust to the size of the forget set, and best at each",
        "Section 5.3; Tables 17 and 18",
        "our method is consistently robust to the size of D_f and always outperforms the other "
        "baselines",
        "Avg. Gap of both methods over 10 % to 50 %, and which method has the smallest",
        "For both methods the largest gap is at most twice the smallest, and one of the paper's "
        "methods is best at each size; partly: some of this.",
        (AUDIT, NUMBERS),
        paper.sizes,
        records.sizes,
    ),
)
