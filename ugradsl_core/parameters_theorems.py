"""Parameters of the notebooks on measures, influence functions and Theorems 1 and 2."""

from pydantic import Field

from ugradsl_core.config import Config


class TheoryMeasures(Config):
    """Parameters of *Unlearning and its measures*."""

    train_size: int = Field(400, ge=50, le=1000, description="digits in D_tr")
    fraction: float = Field(0.2, gt=0, lt=1, description="share of D_tr to forget")
    hidden: int = Field(8, ge=1, le=64, description="units of the network")
    l2: float = Field(0.1, gt=0, description="λ of the ridge")
    retrainings: int = Field(4, ge=1, le=20, description="further models retrained, by seed")
    ascent_lr: float = Field(0.002, gt=0, description="learning rate of gradient ascent")
    seed: int = Field(0, ge=0)


class TheoryInfluence(Config):
    """Parameters of *Influence functions*."""

    train_size: int = Field(500, ge=100, le=1300, description="digits in D_tr")
    l2: float = Field(1.0, gt=0, description="λ of the ridge; without it no Hessian is invertible")
    points: int = Field(16, ge=12, le=200, description="samples that are really left out")
    hidden: int = Field(8, ge=1, le=64, description="units of the network")
    seed: int = Field(0, ge=0)


class TheoryTheorem1(Config):
    """Parameters of *Theorem 1 and its error*."""

    train_size: int = Field(500, ge=100, le=1300, description="digits in D_tr")
    l2: float = Field(1.0, gt=0, description="λ of the ridge; without it no Hessian is invertible")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of D_tr to forget")
    seed: int = Field(0, ge=0)


class TheoryTheorem2(Config):
    """Parameters of *Theorem 2 and Figure 6*."""

    train_size: int = Field(300, ge=100, le=1300, description="digits in D_tr")
    l2: float = Field(1.0, gt=0, description="λ of the ridge; without it no Hessian is invertible")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of D_tr to forget")
    alpha: float = Field(-0.4, le=1, description="smooth rate α that is marked")
    hidden: int = Field(8, ge=1, le=64, description="units of the network")
    forget_sets: int = Field(12, ge=2, le=200, description="forget sets of the live Figure 6")
    seed: int = Field(0, ge=0)
