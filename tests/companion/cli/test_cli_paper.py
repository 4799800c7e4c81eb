"""``ugradsl audit`` and ``ugradsl claims``: the same as the book says, as text and as JSON."""

import json
from collections.abc import Callable

import pytest

from companion.paper.audit import audit
from companion.paper.claims import CLAIMS, scoreboard

Cli = Callable[..., tuple[int, str, str]]


def test_the_audit_is_printed_by_severity(cli: Cli) -> None:
    code, out, err = cli("audit")
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    found = audit().findings
    assert all(" ".join(finding.sentence.split()) in words for finding in found)
    assert [line for line in out.splitlines() if line[:4].isupper()] == [
        "SERIOUS: can change a conclusion: which method is best, or a gap by half a point or more",
        "MODERATE: a number, or a column, that cannot be right as printed",
        "MINOR: a standard deviation, a run time or a rounding; no mean is touched",
        "NOTE: an inference that helps to read a table; nothing is wrong",
    ]
    assert out.splitlines()[-1].startswith(f"{len(found)} findings; ")
    assert max(map(len, out.splitlines())) <= 100


def test_the_audit_is_json(cli: Cli) -> None:
    report = json.loads(cli("audit", "--json")[1])
    assert report["findings"] == json.loads(json.dumps([f.as_json() for f in audit().findings]))
    assert report["gaps"]["1"]["other-retrain"] == 5
    assert report["tolerance"] == 0.015


def test_the_audit_can_be_narrowed(cli: Cli) -> None:
    rows = json.loads(cli("audit", "--table", "2", "--table", "3", "--json")[1])["findings"]
    assert rows
    assert all({2, 3} & set(row["tables"]) for row in rows)
    rows = json.loads(cli("audit", "--kind", "copied-line", "--json")[1])["findings"]
    assert {row["kind"] for row in rows} == {"copied-line"}
    rows = json.loads(cli("audit", "--severity", "note", "--json")[1])["findings"]
    assert {row["severity"] for row in rows} == {"note"}
    wide = json.loads(cli("audit", "--kind", "gap-unexplained", "--tolerance", "20", "--json")[1])
    assert wide["findings"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "8"], "table: 8 has no results to audit. Valid: 1, 2, 3, 4, 6"),
        (["--kind", "copied-lin"], "unknown kind 'copied-lin'. Did you mean 'copied-line'"),
        (["--severity", "seriuos"], "unknown severity 'seriuos'. Did you mean 'serious'"),
        (["--tolerance", "-1"], "tolerance: should be a number of at least 0; found -1.0"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, arguments: list[str], message: str) -> None:
    code, out, err = cli("audit", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_claims_are_printed(cli: Cli) -> None:
    code, out, err = cli("claims")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(CLAIMS) + 1
    for line, row in zip(out.splitlines()[1:], scoreboard(), strict=True):
        assert line.startswith(row.claim.title)
        assert line.split()[-1] == row.ours.strength


def test_the_claims_with_their_rules(cli: Cli) -> None:
    words = " ".join(cli("claims", "--details")[1].split())
    for row in scoreboard():
        for text in (row.claim.words, row.claim.rule, row.paper.evidence, row.ours.evidence):
            assert " ".join(text.split()) in words


def test_the_claims_are_json(cli: Cli) -> None:
    rows = json.loads(cli("claims", "--json")[1])
    assert rows == json.loads(json.dumps([row.as_json() for row in scoreboard()]))
