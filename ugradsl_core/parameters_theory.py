"""Parameters of the notebooks on smoothing, label-LDP, cost and landscape (theory 4, 6, 7, 8)."""

from typing import Self

from pydantic import Field, model_validator

from ugradsl_core.config import Config
from ugradsl_core.landscape_records import LandscapeConfig
from ugradsl_core.privacy import label_ldp_epsilon


class TheorySmoothing(Config):
    """Parameters of *Generalised label smoothing*."""

    alpha: float = Field(-0.4, lt=0, description="smooth rate α of NLS")
    num_classes: int = Field(10, ge=2, description="K of the label vectors that are drawn")
    confidence: float = Field(0.999, gt=0, lt=1, description="probability of the true class")
    ascent_lr: float = Field(0.003, gt=0, description="learning rate of the ascent")
    ascent_steps: int = Field(100, ge=10, le=1000, description="steps of the ascent")
    seed: int = Field(0, ge=0)


class TheoryLabelLDP(Config):
    """Parameters of *Label-LDP and Theorem 3*; α has to lie in the theorem's domain."""

    alpha: float = Field(-0.4, description="smooth rate α of NLS")
    gamma1: float = Field(2.0, description="γ₁, weight of learning on D_tr")
    gamma2: float = Field(1.0, description="γ₂, weight of unlearning on D_f")
    num_classes: int = Field(10, description="K of the curves; the digits have ten")
    train_size: int = Field(100, ge=20, le=500, description="digits in D_tr")
    forget_size: int = Field(20, ge=10, le=400, description="digits in D_f, one of each at least")
    widest: int = Field(256, ge=8, le=4096, description="random features of the widest model")
    l2: float = Field(0.1, gt=0, description="λ of the ridge, which makes the minimum unique")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _in_the_domain(self) -> Self:
        for num_classes in {self.num_classes, 10}:
            label_ldp_epsilon(self.alpha, self.gamma1, self.gamma2, num_classes)
        return self


class TheoryCost(Config):
    """Parameters of *Cost*."""

    n: int = Field(64, ge=1, le=2048, description="batch size n of the worked example")
    d: int = Field(512, ge=1, le=8192, description="feature dimension d of it")
    forget_batch: int = Field(6, ge=2, le=12, description="|B_f| of the axis error")
    retain_batch: int = Field(10, ge=2, le=12, description="|B_r| of the axis error")
    beta: float | None = Field(None, ge=0, le=1, description="threshold β; None is the median")
    seed: int = Field(0, ge=0)


class TheoryLandscape(LandscapeConfig):
    """Parameters of *Loss landscape*: a live run on digits, at the smoke scale."""

    points: int = Field(15, ge=3, description="places along each direction, odd")
    samples: int | None = Field(None, ge=1, description="retained samples; None is all of D_r")
    steps: int = Field(30, ge=1, description="products with the Hessian from each start")
    seed: int = Field(0, ge=0)
    store: str | None = Field(None, description="store directory; None is a temporary one")
