"""UGradSL and UGradSL+: machine unlearning with smoothed labels.

``unlearn`` removes samples from a model, ``evaluate`` measures the outcome, ``METHODS`` lists
what there is to choose from.
"""

from ugradsl_core.api import Epoch, evaluate, unlearn
from ugradsl_core.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    ModelError,
    StoreError,
    UGradSLError,
)
from ugradsl_core.metrics import Report
from ugradsl_core.types import Execution
from ugradsl_core.unlearned import Unlearned, load_result
from ugradsl_core.unlearning import METHODS
from ugradsl_core.user_comparison import Comparison, compare

__version__ = "0.1.0"

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
    "StoreError",
    "UGradSLError",
    "Unlearned",
    "compare",
    "evaluate",
    "load_result",
    "unlearn",
]
