"""The reference: every public object and command is on a page, and words lead there."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import ugradsl_core
from companion.cli.main import EXIT_CODES
from companion.pages.reference import api, cli
from companion.pages.reference.links import find, in_html, is_ours
from ugradsl_core.methods.ugradsl import UGradSLConfig

BOOK = Path(__file__).parents[3] / "book"
NAMES = {
    "core.a.train_it": "function",
    "core.b.train_it": "function",
    "core.b.Only": "class",
    "core.b.plain": "function",
    "core.ga": "module",
    "core.ga.ga": "function",
}
EXPORTS = {"core.b.short": "core.b.Only", "core.ga": "core.ga.ga"}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: fragment(BOOK) for name, fragment in api.FRAGMENTS.items()}


def test_every_module_that_defines_something_is_on_one_page(pages: dict[str, str]) -> None:
    text = "\n".join(pages.values())
    defining = [name for name in api.modules() if api.own_objects(import_module(name))]
    assert len(defining) > 40
    for module in defining:
        assert text.count(f".. automodule:: {module}\n") == 1, module


def test_every_page_has_a_file_that_includes_it() -> None:
    for name in api.GROUPS:
        assert f"api-{name}.md" in (BOOK / "reference" / f"{name}.md").read_text("utf-8")


def test_the_overview_has_every_exported_name(pages: dict[str, str]) -> None:
    assert all(f"- `{name}`\n" in pages["api-overview.md"] for name in ugradsl_core.__all__)
    assert ":func:" not in pages["api-overview.md"]


def test_short_names_lead_to_where_objects_are_defined() -> None:
    found = api.exports()
    assert found["ugradsl_core.unlearn"] == "ugradsl_core.api.unlearn"
    assert found["ugradsl_core.metrics.mia"] == "ugradsl_core.metrics.scores.mia"
    assert all(is_ours(full) for full in found.values())


def test_a_word_is_found_only_where_one_object_has_its_name() -> None:
    assert find("Only", NAMES, {}) == "core.b.Only"
    assert find("b.Only(x, y=1)", NAMES, {}) == "core.b.Only"
    assert find("core.b.short", NAMES, EXPORTS) == "core.b.Only"
    assert find("train_it", NAMES, {}) is None
    assert find("a.train_it", NAMES, {}) == "core.a.train_it"
    assert find("ga", NAMES, EXPORTS) == "core.ga.ga"
    assert find("plain", NAMES, EXPORTS) is None
    assert find("plain()", NAMES, EXPORTS) == "core.b.plain"
    for word in ("lr = 0.1", "--json", "", "nly", "core.c.Only"):
        assert find(word, NAMES, EXPORTS) is None


def test_a_wrong_reference_to_the_core_is_not_passed_over() -> None:
    assert is_ours("ugradsl_core.api.unlearn")
    assert is_ours("ugradsl_core.nowhere.unlearn")
    assert not is_ours("torch.Tensor")
    assert not is_ours("ugradsl_core.training.processes.T")


def test_a_configuration_shows_its_fields_and_their_rules() -> None:
    found = api.short_signature(None, "class", "", UGradSLConfig, None, None, None)
    assert found is not None
    assert found[0].startswith("(*, ")
    for field, info in UGradSLConfig.model_fields.items():
        assert f"{field}: " in found[0]
        assert f"= {info.default!r}" in found[0]
    assert "Annotated" not in found[0]
    lines = (inspect.getdoc(UGradSLConfig) or "").splitlines()
    api.show_fields(None, "class", "", UGradSLConfig, None, lines)
    assert lines.count("Args:") == 1
    assert "Attributes:" not in lines
    for field in UGradSLConfig.model_fields:
        assert sum(line.startswith(f"    {field}: ") for line in lines) == 1, field


def test_bars_are_no_substitutions() -> None:
    lines = ["batches of |B_f| and ``|a|``; no | bar"]
    api.show_fields(None, "function", "", len, None, lines)
    assert lines == ["batches of \\|B_f\\| and ``|a|``; no | bar"]


def test_every_command_has_its_section_with_every_option() -> None:
    text = cli.reference(BOOK)
    sections = re.split(r"\n\n(?=\(cli-)", text)
    assert len(sections) == len(cli.commands()) >= 16
    for section, (name, command) in zip(sections, cli.commands().items(), strict=True):
        assert section.startswith(f"(cli-{name})=\n## {name}\n")
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option != "--help":
                    assert f"`{option}`" in section, (name, option)
    assert re.search(r"- `--scale`\n  - text\n  - `bench`\n", text)
    assert re.search(r"- `notebook`\n  - text\n  - required\n", text)
    assert "- `-p`, `--parameter`\n  - NAME VALUE, repeatable\n" in text


def test_the_exit_codes_are_those_of_the_command() -> None:
    assert list(EXIT_CODES) == [0, 1, 2, 130]
    assert all(f"`{code}`" in cli.exit_codes(BOOK) for code in EXIT_CODES)


def test_code_in_html_is_linked_but_not_in_links_headings_or_blocks() -> None:
    closed = (
        '<a href="#x"><code>one</code></a> <pre><code>two</code></pre>'
        "<h3>The <code>three</code></h3><summary><code>four</code></summary>"
    )
    text = f"<td><code>open</code></td>{closed}<abbr><code>a &lt; b</code></abbr>"
    seen = []

    def mark(found: re.Match[str]) -> str:
        seen.append(found[2])
        return f"[{found[2]}]"

    assert in_html(text, mark) == f"<td>[open]</td>{closed}<abbr>[a &lt; b]</abbr>"
    assert seen == ["open", "a &lt; b"]
