"""Letters in MJML: what comes of them, and what `nurture check` says of a document that mrml would take in silence."""

from __future__ import annotations

import re

import pytest

from nurture.cli.app import main
from nurture.mail import mjml
from nurture.mail.faults import TooMuch
from nurture.mail.mjml_tags import TAGS
from nurture.mail.render import Renderer
from nurture.mail.templates import Templates
from tests.mail.letters import BRAND, FILES, KEYS, URL, job
from tests.mail.programs import folder, letter
from tests.mail.shipped import shipped

LAYOUT = """<mjml lang="{{ language }}" dir="{{ dir }}">
<mj-head><mj-title>{% block subject %}{% endblock %}</mj-title>
<mj-preview>{% block preheader %}{% endblock %}</mj-preview>
<mj-font name="Inter" href="https://fonts.example/inter.css" /></mj-head>
<mj-body>
{% block body %}{% endblock %}
<mj-section><mj-column><mj-text><a href="{{ unsubscribe_url }}">Stop</a> {{ address }}</mj-text></mj-column></mj-section>
</mj-body>
</mjml>
"""


def section(inside: str) -> str:
    """A section of one column."""
    return f"<mj-section><mj-column>{inside}</mj-column></mj-section>"


def rendered(body: str, language: str = "en", tracked: bool = True, **lead: object) -> str:
    """The HTML of a letter with this body."""
    files = FILES | {"_shared/m.j2": LAYOUT, "saas/x.j2": letter(body, layout="_shared/m.j2")}
    files |= {"saas/x.ar.j2": letter(body, layout="_shared/m.j2")}
    return (
        Renderer(Templates(files), BRAND, KEYS, URL)
        .render(job("x", language=language, tracked=tracked, lead=lead))
        .html
    )


def test_it_becomes_html():
    """With preheader, title, its links tracked, its text part, and no server of a stranger's asked for a font unbidden."""
    html = rendered(
        section(
            '<mj-text font-family="Inter">Hi <a href="https://a.example/x">x</a></mj-text><mj-button href="https://b.example">B</mj-button>'
        )
    )

    assert html.startswith("<!doctype html>")
    assert "<mj" not in html
    assert html.count(f'href="{URL}/c/') == 3  # those two, and the one that no person sees
    assert f'href="{URL}/u/' in html
    assert "googleapis" not in html
    assert 'href="https://fonts.example/inter.css"' in html
    assert "https://a.example/x" in rendered(
        section('<mj-text><a href="https://a.example/x">x</a></mj-text>'), tracked=False
    )


HOSTILE_NAMES = ["<b>x</b>", "</mj-text><mj-raw><script>", "&lt;b&gt;", '" onclick="x', "]]>", "<!--", "'", "&amp;amp;"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_data_stay_text(name):
    """In a text, an attribute and a preheader; nothing is decoded on the way through MJML."""
    html = rendered(
        section(
            '<mj-text>[{{ lead.company }}]</mj-text><mj-image src="https://i.example/a.png" alt="[{{ lead.company }}]" />'
        ),
        company=name,
    )
    escaped = (
        name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;")
    )

    assert html.count(f"[{escaped}]") == 2


def test_right_to_left():
    """`dir` on the document, its body and every table of the layout, which is what Outlook goes by."""
    html = rendered(section("<mj-text>مرحبا</mj-text>"), language="ar")
    assert '<html lang="ar" dir="rtl"' in html
    assert '<body dir="rtl"' in html
    tables = re.findall(r"<table[^>]*>", html)
    assert tables
    assert all('dir="rtl"' in table for table in tables)
    assert 'dir="rtl"' not in rendered(section("<mj-text>Hi</mj-text>"))


@pytest.mark.parametrize(
    "name", ["saas-evaluators/numbers.j2 known", "win-back/news.columns.ar.j2 known", "win-back/news.columns.j2 nobody"]
)
def test_the_shipped_ones(name):
    """Columns run as the language does; the text part says what the letter says, and not the preheader."""
    made = shipped()[name].rendered
    columns = re.findall(r'<div class="mj-outlook-group-fix[^>]*direction:(\w+)', made.html)

    assert len(columns) >= 6
    assert set(columns) == {"rtl" if ".ar." in name else "ltr"}
    assert "Brightdesk SRL" in made.text
    assert "<" not in made.text.replace("<GmbH>", "")
    assert "without adjectives" not in made.text


PLACE = "/saas/welcome.j2:3:"
WRONG = {
    "a tag misspelt": ("<mj-sectoin>x</mj-sectoin>", "MJML has no tag 'mj-sectoin'; did you mean 'mj-section'?"),
    "a tag misspelt in a branch that nobody reaches": (
        "{% if lead.company and not lead.company %}<mj-buton>x</mj-buton>{% endif %}",
        "MJML has no tag 'mj-buton'; did you mean 'mj-button'?",
    ),
    "an attribute misspelt": (section('<mj-text colour="red">x</mj-text>'), "'colour' is no attribute of mj-text; did you mean 'color'?"),
    "an attribute beside a value": (section('<mj-text color="{{ brand }}" sise="1">x</mj-text>'), "'sise' is no attribute of mj-text"),
    "an attribute of another tag": ('<mj-section href="https://a.example"></mj-section>', "'href' is no attribute of mj-section"),
    "a text in a section": ("<mj-section><mj-text>x</mj-text></mj-section>", "'mj-text' cannot stand in 'mj-section'; put it into mj-column"),
    "a text in a section in a branch that nobody reaches": (
        "<mj-section>{% if lead.company and not lead.company %}<mj-text>x</mj-text>{% endif %}</mj-section>",
        "'mj-text' cannot stand in 'mj-section'; put it into mj-column",
    ),
    "a column in the body": ("<mj-column></mj-column>", "'mj-column' cannot stand in 'mj-body'; put it into mj-group or mj-section"),
    "a section in a section": ("<mj-section><mj-section></mj-section></mj-section>", "'mj-section' cannot stand in 'mj-section'"),
    "a head in the body": ("<mj-preview>x</mj-preview>", "'mj-preview' cannot stand in 'mj-body'; put it into mj-head"),
    "HTML in a column": (section("<p>x</p>"), "<p> stands in 'mj-column'; put it into mj-text or mj-raw"),
    "words in a column": (section("x"), "text stands in 'mj-column'; put it into mj-text"),
    "a column left open": ("<mj-section><mj-column></mj-section>", "'mj-column' is not closed; write </mj-column>"),
    "a paragraph left open": (section("<mj-text><p>x</mj-text>"), "the HTML in this 'mj-text' cannot be read; close every tag"),
    "an include": ('<mj-include path="/etc/passwd" />', "'mj-include' would read a file past check"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), WRONG.values(), ids=WRONG.keys())
def test_check_names_it(tmp_path, capsys, body, expected):
    """By file and line."""
    place = folder(tmp_path, _shared__m_j2=LAYOUT, saas__welcome_j2=letter("\n\n" + body, layout="_shared/m.j2"))

    assert main(["check", str(place)]) == 1
    said = capsys.readouterr().out
    assert PLACE in said
    assert expected in said
    assert len(said.splitlines()) == 1


def test_mjml_in_a_letter_of_html(tmp_path, capsys):
    """The layout was forgotten, or another one is meant."""
    place = folder(tmp_path, body=section("<mj-text>x</mj-text>"))

    assert main(["check", str(place)]) == 1
    assert (
        "MJML stands in a letter that is not MJML; extend a layout whose first tag is <mjml>" in capsys.readouterr().out
    )


def test_what_is_right_is_no_problem(tmp_path):
    """Loops that make sections, a value in an attribute, HTML of every kind in a text."""
    body = (
        '{% for t in ["a", "b"] %}' + section('<mj-text color="{{ "red" if loop.first else "blue" }}">{{ t }}<br>&nbsp;<b>x</b></mj-text>')
        + "{% endfor %}" + section("{% if lead.company %}<mj-text>{{ lead.company }}</mj-text>{% else %}<mj-divider />{% endif %}")
        + "<mj-raw><!-- <mj-x> --></mj-raw>"
        + '{% if lead.company %}<mj-section padding="0">{% else %}<mj-section>{% endif %}</mj-section>'
    )  # fmt: skip
    place = folder(tmp_path, _shared__m_j2=LAYOUT, saas__welcome_j2=letter(body, layout="_shared/m.j2"))

    assert main(["check", str(place)]) == 0


def test_too_many_tags_for_mrml():
    """It would end the process (it recurses): refused before, in the open and hidden in comments."""
    for inside in ("<mj-section>" * 500, "<div>" * 3000, "<div><!--</div>-->" * 1500):
        with pytest.raises(TooMuch, match="this one has more"):
            mjml.to_html(f"<mjml><mj-body>{inside}", "ltr")


def test_the_table_of_tags():
    """Every child is a tag, each tag but mjml has a home, and every block takes a class."""
    children = {child for tag in TAGS.values() for child in tag.children}
    head = {"mj-title", "mj-preview", "mj-attributes", "mj-breakpoint", "mj-font", "mj-style", "mj-head", "mjml"}

    assert children | {"mjml"} == set(TAGS)
    assert all("css-class" in TAGS[name].attributes for name in set(TAGS) - head)


def test_the_text_part():
    """Blocks with an empty line between them, buttons and their addresses; pictures, preheader and styles left out."""
    files = FILES | {"_shared/m.j2": LAYOUT}
    body = section('<mj-text><p>One</p><p>Two</p></mj-text><mj-image src="https://i.example/a.png" />') + section(
        '<mj-button href="https://b.example">Go</mj-button><mj-divider /><mj-table><tr><td>a</td><td>b</td></tr></mj-table>'
    )
    files["saas/x.j2"] = letter(body, layout="_shared/m.j2") + "{% block preheader %}Hidden{% endblock %}"
    made = Renderer(Templates(files), BRAND, KEYS, URL).render(job("x", tracked=False))

    assert made.text.startswith("One\n\nTwo\n\nGo (https://b.example)\n\na  b\n")
    assert made.text.rstrip().endswith(BRAND.address)
    assert "Hidden" not in made.text
