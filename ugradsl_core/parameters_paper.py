"""Parameters of the notebook that audits the paper's tables."""

from pydantic import Field, field_validator

from ugradsl_core.audit.lines import RESULT_TABLES, TOLERANCE
from ugradsl_core.config import CommaList, Config


class PaperAudit(Config):
    """Parameters of *An audit of the paper's tables*."""

    tables: CommaList = Field("all", description="all, or comma-separated numbers of result tables")
    tolerance: float | None = Field(None, ge=0, description="in points; None is rounding's limit")

    @field_validator("tables")
    @classmethod
    def _known(cls, value: str) -> str:
        for part in [] if value == "all" else value.split(","):
            if not part.strip().isdecimal() or int(part) not in RESULT_TABLES:
                valid = ", ".join(map(str, RESULT_TABLES))
                raise ValueError(f"should be all or numbers among {valid}; found {part.strip()!r}")
        return value

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the tables."""
        if self.tables == "all":
            return RESULT_TABLES
        return tuple(dict.fromkeys(int(part) for part in self.tables.split(",")))

    @property
    def limit(self) -> float:
        """The tolerance in percentage points."""
        return TOLERANCE if self.tolerance is None else self.tolerance
