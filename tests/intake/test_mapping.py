"""The mapping file: what it may say, and how it is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nurture.errors import FileFault
from nurture.intake import read_mapping
from tests.intake.importing import MAPPINGS, Imports


def test_words_are_read_as_they_are_written(tmp_path: Path) -> None:
    """`no:` is a key and Yes a word, whatever YAML thinks of them."""
    path = tmp_path / "m.yaml"
    path.write_text("consent: {column: Do Not Email, no: [Yes], yes: [No]}\nunanswered: [Select, 0, null]\nid: 01\n")

    mapping = read_mapping(path)

    assert mapping.consent is not None
    assert ({"yes"}, {"no"}) == (set(mapping.consent.no), set(mapping.consent.yes))
    assert (mapping.unanswered, mapping.id) == (("Select", "0", "null"), "01")


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_can_be_read(path: Path) -> None:
    assert read_mapping(path).source


def test_the_examples_of_the_page_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    for number, text in enumerate(examples):
        (tmp_path / f"{number}.yaml").write_text(text)

    assert [read_mapping(tmp_path / f"{n}.yaml").source for n in range(2)] == ["xeducation", "marketo"]
    assert len(examples) == 2


BAD = [
    ("feilds: {a: b}", "the file has 'feilds', which is not known here; did you mean 'fields'?"),
    ("- a", "must be 'key: value' lines"),
    ("fields: {a: [b]}", "fields: must be pairs"),
    ("source: [a]", "source: must be one word"),
    ("zone: Mars", "zone: 'Mars' is not a time zone"),
    ("dates: dd/mm/yyyy", "is no date format"),
    ("consent: {no: [Yes]}", "consent: names no column"),
    ("consent: {column: a, basis: gdpr}", "basis 'gdpr' is not one of consent, contract"),
    ("lead: {phone: a}", "lead: must be {email: COLUMN} or {id: COLUMN}"),
    ("event: {names: {a: b}}", "event: write a name"),
    ("a: b\na: c", ":2:1: is not YAML as we read it: 'a' is said twice"),
    ("a: [", ":2:1: is not YAML"),
    ("a: !!python/object:os.system {}", "is not YAML as we read it"),
    ("a: &a [x]\nb: [" + "*a, " * 60 + "]", "has 60 aliases"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[text[:24] for text, _ in BAD])
def test_a_mapping_file_is_refused_with_the_key_and_the_way_out(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text + "\n")

    with pytest.raises(FileFault) as refused:
        read_mapping(path)

    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


def test_what_the_mapping_names_must_be_there(reading: Imports) -> None:
    with pytest.raises(FileFault, match="has no column 'Job', which the mapping file names; its columns are 'Email'"):
        reading.leads("Email\na@b.example\n", mapping="fields: {title: Job}")
    with pytest.raises(
        FileFault, match=r"fills 'shoe', which program.yaml does not declare; known are created, industry"
    ):
        reading.leads("Email,Shoe\na@b.example,42\n", mapping="fields: {shoe: Shoe}")


def test_a_mapping_adds_to_the_usual_names_and_can_leave_columns_aside(reading: Imports) -> None:
    reading.leads(
        "Email,Firm,Tags,Country\na@b.example,Acme,x,FR\n",
        mapping="{fields: {company: Firm}, ignore: [Tags]}",
    )

    lead = reading.lead("a@b.example")
    assert ((lead["company"], lead["country"]), reading.count("lead_tag")) == (("Acme", "FR"), 0)
