"""Which notebooks take longest: they start first, so that none is left when the others have ended.

One that finds its models in the store of another is not among them.
"""

LONGEST = (
    "method_comparison",
    "class_wise_forgetting",
    "theory_5_theorem_2",
    "own_checkpoint",
    "theory_2_influence",
    "group_forgetting",
    "forget_fraction",
    "theory_3_theorem_1",
    "sharper_questions",
    "hugging_face",
    "stability",
    "adaptive_rate",
    "epochs",
)
