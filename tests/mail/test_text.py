"""The text part: styles that shape it are read, the others are passed over without a difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig
from inscriptis.model.css import CssParse
from inscriptis.model.tag import CustomHtmlTagHandlerMapping

from nurture.mail.text import _close_link, _open_link, plain_text, tidy
from tests.mail.shipped import shipped

WHOLE = ParserConfig(
    css=CSS_PROFILES["strict"],
    custom_html_tag_handler_mapping=CustomHtmlTagHandlerMapping({"a": _open_link}, {"a": _close_link}),
)
WHOLE.attribute_handler.attribute_mapping = {"style": CssParse.attr_style}


@pytest.mark.parametrize("name", shipped())
def test_the_same_text_as_with_every_style(name):
    """Byte for byte, for each shipped letter."""
    html = shipped()[name].rendered.html

    assert plain_text(html) == tidy(get_text(html, WHOLE))


WORDS = [
    "display",
    "Margin-Top",
    " padding-left ",
    "-webkit-margin-before",
    "color",
    "white-space",
    "font",
    "",
    "x-display",
]
VALUES = ["none", "block", "2em", "16px", "pre", "red", "", "a:b"]
STYLES = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from([":", " : ", ""]), st.sampled_from(VALUES)), max_size=5
)


@given(STYLES, STYLES)
def test_the_same_text_for_any_style(one, other):
    """Whatever is written there, in whatever spelling."""
    first, second = (";".join(map("".join, styles)) for styles in (one, other))
    html = f'<div style="{first}">a<p style="{second}">b</p></div><p>c</p>'
    try:
        expected = tidy(get_text(html, WHOLE))
    except AttributeError:  # a length without a number
        with pytest.raises(AttributeError):
            plain_text(html)
    else:
        assert plain_text(html) == expected
