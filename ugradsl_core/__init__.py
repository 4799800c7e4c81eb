"""UGradSL and UGradSL+: machine unlearning with smoothed labels.

``unlearn`` removes samples from a model, ``evaluate`` measures the outcome, ``METHODS`` lists
what there is to choose from.
"""

from ugradsl_core.api import Epoch, evaluate, unlearn
from ugradsl_core.api.card import model_card
from ugradsl_core.api.comparison import Comparison, compare
from ugradsl_core.api.unlearned import Run, Unlearned, load_result
from ugradsl_core.config import VERSION
from ugradsl_core.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    ModelError,
    StoreError,
    UGradSLError,
)
from ugradsl_core.methods import METHODS
from ugradsl_core.metrics.scores import Report
from ugradsl_core.training.execution import Execution

__version__ = VERSION

__all__ = [
    "METHODS",
    "Comparison",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "Epoch",
    "Execution",
    "ModelError",
    "Report",
    "Run",
    "StoreError",
    "UGradSLError",
    "Unlearned",
    "compare",
    "evaluate",
    "load_result",
    "model_card",
    "unlearn",
]
