"""UA, MIA, RA and TA, the membership attack, and gaps to Retrain."""

from ugradsl_core.metrics.scores import (
    FIVE_METRICS,
    GAP_METRICS,
    GAP_NAMES,
    NO_SIGNAL_GAP,
    NO_SPAN,
    MIAScores,
    Report,
    accuracy,
    additional_mia,
    attack_scalars,
    average_gap,
    collapsed,
    gap_of_means,
    mia,
    report,
    unlearning_accuracy,
)

__all__ = [
    "FIVE_METRICS",
    "GAP_METRICS",
    "GAP_NAMES",
    "NO_SIGNAL_GAP",
    "NO_SPAN",
    "MIAScores",
    "Report",
    "accuracy",
    "additional_mia",
    "attack_scalars",
    "average_gap",
    "collapsed",
    "gap_of_means",
    "mia",
    "report",
    "unlearning_accuracy",
]
