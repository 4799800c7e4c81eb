"""A page's description of itself."""

from docutils import nodes
from docutils.utils import new_document

from companion.pages import head


def page(*paragraphs: nodes.paragraph) -> nodes.document:
    document = new_document("page")
    document += [nodes.title("", "Title"), *paragraphs]
    return document


def paragraph(*parts: str | nodes.Node) -> nodes.paragraph:
    made = nodes.paragraph()
    made += [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    return made


def test_it_is_the_first_paragraph_without_formulas() -> None:
    formula = paragraph("Of ", nodes.math("", r"\alpha"))
    found = head.description(page(paragraph(""), formula, paragraph("A  page\nof words.")))
    assert found == "A page of words."


def test_a_heading_in_all_but_name_is_passed_over() -> None:
    long = "A sentence that is long enough to describe a page."
    assert head.description(page(paragraph("At a glance"), paragraph(long))) == long


def test_the_viewport_is_said_once() -> None:
    tags = '<meta name="viewport" content="width=device-width" /><meta name="author" content="a" />'
    assert head.without_viewport(tags) == '<meta name="author" content="a" />'


def test_a_page_without_words_has_none() -> None:
    assert head.description(None) == ""
    assert head.description(page()) == ""


def test_a_long_one_ends_with_a_sentence_or_a_word() -> None:
    sentence = "Twenty characters ab. "
    assert head.shortened(sentence * 20).endswith("ab.")
    assert len(head.shortened(sentence * 20)) <= head.LONGEST
    words = head.shortened("word, " * 100)
    assert words.endswith("word…")
    assert len(words) <= head.LONGEST
    assert head.shortened("short") == "short"
