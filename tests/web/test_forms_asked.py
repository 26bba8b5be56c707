"""/f: what is asked of whom, in which words, and what the form itself sets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.engine.renaming import readdress
from nurture.records import Consent, Lead, LeadTag
from tests.web.factories import FILES, FORM, PAGE, Visitor, events, lead_called, letter_to, links_in, put_live

RAE = "rae@acme.example"
#: What no SQL decides need not be asked of both databases.
ONE_DATABASE = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
KIM = {"email": "kim@person.example", "company": "Büro"}


def asked(page: str) -> list[str]:
    """The names of the questions on a page, in order."""
    return [name for name in re.findall(r'<(?:input|select) id="(\w+)"', page) if name != "fax_again"]


def by_letter(machine: Machine, address: str, key: str) -> str:
    """The address of a form as a letter to this lead has it."""
    link = next(link for link in links_in(letter_to(machine, address)) if link.startswith("/f/"))
    return link.replace("/f/demo", f"/f/{key}")


def know(machine: Machine, address: str, **facts: Any) -> None:
    """Somebody told us more of this lead."""
    fields = facts.pop("fields", {})
    mine = col(Lead.email) == address
    machine.db.transact(lambda link: link.execute(update(Lead).where(mine).values(fields=fields, **facts)))


ASKED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "only a name": ({}, ["email", "company", "role"]),
    "the short form": ({"company": "Acme"}, ["email", "role", "employees"]),
    "some of the long one": ({"company": "Acme", "fields": {"role": "support"}}, ["email", "employees", "use_case"]),
    "nothing is a value": ({"company": "Acme", "fields": {"role": "", "employees": 0}}, ["email", "role", "use_case"]),
    "everything": ({"company": "Acme", "fields": {"role": "x", "employees": 9, "use_case": "y"}}, ["email"]),
}


@ONE_DATABASE
@pytest.mark.parametrize(("facts", "questions"), ASKED.values(), ids=ASKED.keys())
def test_a_letters_reader_is_asked_what_we_do_not_know(
    machine: Machine, visit: Visitor, facts: dict[str, Any], questions: list[str]
) -> None:
    """Two questions at a time, in the order of the form; a stranger gets the short form."""
    know(machine, RAE, **facts)

    page = visit.get(by_letter(machine, RAE, "guide")).text

    assert asked(page) == questions
    assert f'value="{RAE}"' in page
    assert asked(visit.get("/f/guide").text) == ["email", "first_name", "company"]


def test_step_by_step_a_profile_fills_up(machine: Machine, visit: Visitor) -> None:
    """Each visit asks for something else, and what was told before is neither asked nor shown."""
    know(machine, RAE, company="Acme")
    link = by_letter(machine, RAE, "guide")
    token = link.partition("?t=")[2]

    answer = visit.post("/f/guide", data={"email": RAE, "t": token, "role": "support", "employees": "1,200"})
    page = visit.get(link).text

    assert answer.status_code == 303
    assert asked(page) == ["email", "use_case"]
    assert "1200" not in page
    assert "support" not in page
    lead = lead_called(machine, RAE)
    assert {"role": "support", "employees": 1200}.items() <= lead.fields.items()
    assert [event.touch_id is not None for event in events(machine, "guide_requested")] == [True]


def test_what_is_not_asked_need_not_be_answered(machine: Machine, visit: Visitor) -> None:
    """`required: [company]` holds for who is asked for a company: a stranger, and not who told it before."""
    know(machine, RAE, company="Acme")
    token = by_letter(machine, RAE, "guide").partition("?t=")[2]

    stranger = visit.post("/f/guide", json={"email": "kim@person.example"})
    reader = visit.post("/f/guide", json={"email": RAE, "t": token})

    assert (stranger.status_code, list(stranger.json()["errors"])) == (422, ["company"])
    assert reader.status_code == 202


@ONE_DATABASE
@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_form_speaks_the_visitors_language(machine: Machine, visit: Visitor, language: str) -> None:
    """Title, text, label, choice and button; `lang` in the address decides, and is sent along."""
    words = {
        "en": ("The guide", "Short.", "What do you need it for?", "Customer support", "Send"),
        "ar": ("الدليل", "قصير.", "ما الذي تحتاجون إليه؟", "خدمة العملاء", "إرسال"),
    }
    title, text, label, choice, button = words[language]

    guide = visit.get(f"/f/guide?lang={language}").text
    more = visit.get("/f/more", headers={**PAGE, "accept-language": language}).text

    for said in (f'<h1 dir="auto">{title}</h1>', text, f'name="lang" value="{language}"', f">{button}</button>"):
        assert said in guide
    assert label in more
    assert f'<option value="support">{choice}</option>' in more


def test_a_choice_is_one_of_those(machine: Machine, visit: Visitor) -> None:
    """Anything else is sent back with a sentence; by JSON as well."""
    wrong = visit.post("/f/more", json={"email": "kim@person.example", "role": "king"})

    assert (wrong.status_code, list(wrong.json()["errors"])) == (422, ["role"])
    assert visit.post("/f/more", json={"email": "kim@person.example", "role": "student"}).status_code == 202
    assert lead_called(machine, "kim@person.example").fields == {"role": "student"}


def test_the_form_itself_sets_what_nobody_can_send(machine: Machine, visit: Visitor) -> None:
    """`hidden:` wins over what comes along, for newcomers and for whom we knew, and needs no field on the page."""
    for address in ("kim@person.example", RAE):
        said = {**KIM, "email": address, "status": "customer", "lead_source": "me", "stage": "customer"}
        assert visit.post("/f/guide", data=said).status_code == 303

    for address in ("kim@person.example", RAE):
        lead = lead_called(machine, address)
        assert (lead.status, lead.stage, lead.fields["lead_source"]) == ("open", "lead", "website")
    assert "lead_source" not in visit.get("/f/guide").text


def test_tags_are_put_on_with_the_submission(machine: Machine, visit: Visitor) -> None:
    """Those of the form, and that of its thank-you page, folded like any tag."""
    visit.post("/f/guide", data=KIM)
    visit.post("/f/start", data={"email": KIM["email"]})

    with machine.db.read() as link:
        tags = link.execute(select(col(LeadTag.tag)).order_by(col(LeadTag.tag))).scalars().all()
    assert tags == ["downloaded-guide", "trial"]


def test_a_parameter_of_the_address_fills_a_field(machine: Machine, visit: Visitor) -> None:
    """It goes along unseen; one that cannot be kept is nobody's mistake."""
    page = visit.get("/f/start?utm_source=fair&utm_medium=x").text
    answers = [
        visit.post("/f/start", data={"email": "one@a.example", "utm_source": "fair"}),
        visit.post("/f/start", data={"email": "two@a.example", "utm_source": "x" * 300}),
    ]

    assert 'name="utm_source" value="fair"' in page
    assert "utm_medium" not in page
    assert [answer.status_code for answer in answers] == [303, 303]
    assert lead_called(machine, "one@a.example").fields == {"lead_source": "fair"}
    assert lead_called(machine, "two@a.example").fields == {}


CHARSETS: dict[str, tuple[str, bytes, int]] = {
    "UTF-8 unsaid": ("", b"company=B%C3%BCro", 303),
    "UTF-8 as it is": ("", "company=Büro".encode(), 303),
    "an older page": ("", b"company=B%FCro", 303),
    "said": ("; charset=iso-8859-1", b"company=B%FCro", 303),
    "said, in quotes": ('; charset="windows-1256"', b"company=%C8%ED%D1%E6", 303),
    "another than it is": ("; charset=utf-8", b"company=B%FCro", 400),
    "of nobody": ("; charset=klingon", b"company=B", 415),
    "said twice": ("; charset=utf-8; charset=utf-7", b"company=B", 415),
    "no text at all": ("; charset=base64", b"company=B", 415),
    "half letters": ("; charset=unicode_escape", rb"company=\ud800", 415),
    "half letters again": ("; charset=utf-7", b"company=+2AA-", 415),
    "slow": ("; charset=punycode", b"company=" + b"b" * 60_000, 415),
}


@ONE_DATABASE
@pytest.mark.parametrize(("charset", "content", "status"), CHARSETS.values(), ids=CHARSETS.keys())
def test_pages_in_other_charsets(machine: Machine, visit: Visitor, charset: str, content: bytes, status: int) -> None:
    """A form in one's own page comes in that page's charset, whatever its HTML asks for."""
    headers = {**FORM, "content-type": FORM["content-type"] + charset}

    answer = visit.post("/f/demo", headers=headers, content=b"email=kim%40person.example&" + content)

    assert answer.status_code == status
    if status == 303:
        expected = "بيرو" if "1256" in charset else "Büro"
        assert lead_called(machine, "kim@person.example").company == expected


@ONE_DATABASE
@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "punycode"])
def test_parts_in_no_charset_of_pages_are_refused(machine: Machine, visit: Visitor, charset: str) -> None:
    """Those of multipart alike."""
    part = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nkim@person.example\r\n--x--\r\n'
    headers = {**PAGE, "content-type": f"multipart/form-data; boundary=x; charset={charset}"}

    assert visit.post("/f/demo", headers=headers, content=part).status_code == 415
    assert lead_called(machine, "kim@person.example") is None


TICKS: dict[str, tuple[Any, bool]] = {
    "a checkbox": ("on", True),
    "ours": ("yes", True),
    "JSON's own": (True, True),
    "a word": ("True", True),
    "one": (1, True),
    "nought": (0, False),
    "nought as text": ("0", False),
    "false": ("false", False),
    "JSON's own no": (False, False),
    "no": ("no", False),
    "off": ("off", False),
    "anything": ("perhaps", False),
    "spaces": ("  ", False),
}


@ONE_DATABASE
def test_a_box_is_ticked_by_a_yes_alone(machine: Machine) -> None:
    """What says no, or nothing that can be read, is no consent."""
    visit = Visitor(machine, forms_per_minute=100)
    agreed: dict[str, bool] = {}
    for number, (name, (sent, _)) in enumerate(TICKS.items()):
        said = {"email": f"kim{number}@person.example", "consent": sent, "tracking": sent}
        assert visit.post("/f/demo", json=said).status_code == 202
        with machine.db.read() as link:
            mine = col(Consent.lead_id) == lead_called(machine, said["email"]).id
            purposes = link.execute(select(col(Consent.purpose)).where(mine)).scalars().all()
        assert sorted(purposes) in ([], ["mail", "tracking"])
        agreed[name] = bool(purposes)

    assert agreed == {name: yes for name, (_, yes) in TICKS.items()}


@ONE_DATABASE
def test_an_old_letter_does_not_tell_the_new_address(machine: Machine, visit: Visitor) -> None:
    """Who reads at the former address is not told where its lead is now, nor what else we know."""
    link, lead = by_letter(machine, RAE, "demo"), lead_called(machine, RAE).id
    know(machine, RAE, company="Secretly Ltd")
    assert "Secretly Ltd" in visit.get(link).text

    moved = "rae@new.example"
    machine.db.transact(lambda db: readdress(db, machine.live(), lead, moved, now=machine.now(), by="ana"))
    page = visit.get(link).text

    assert moved not in page
    assert "Secretly Ltd" not in page
    assert asked(page)[0] == "email"


STRICT = {
    **FILES,
    "program.yaml": FILES["program.yaml"].replace("required: [company]", "required: [company, use_case]"),
}


def test_a_page_is_judged_by_the_questions_that_it_asked(machine: Machine, visit: Visitor) -> None:
    """Sent twice at once, or from a second tab, after we learned what it asks: what comes next was not on it."""
    put_live(machine, STRICT)
    know(machine, RAE, company="Acme")
    token = by_letter(machine, RAE, "guide").partition("?t=")[2]
    sent = {"email": RAE, "t": token, "role": "support", "employees": "12", "once": "0" * 32}

    answers = [visit.post("/f/guide", data={**sent, "once": once * 32}) for once in "001"]
    empty = visit.post("/f/guide", data={"email": RAE, "t": token, "use_case": ""})
    nothing = visit.post("/f/guide", data={"email": RAE, "t": token})

    assert [answer.status_code for answer in answers] == [303] * 3
    assert len(events(machine, "guide_requested")) == 2
    assert (empty.status_code, nothing.status_code) == (422, 422)


def test_of_a_field_sent_twice_the_last_counts(machine: Machine, visit: Visitor) -> None:
    """In both kinds of HTML forms."""
    visit.post("/f/demo", headers=FORM, content=b"email=kim%40person.example&company=One&company=Two")
    assert lead_called(machine, "kim@person.example").company == "Two"

    parts = [("email", (None, "kim@person.example")), ("company", (None, "Three")), ("company", (None, "Four"))]
    visit.post("/f/demo", files=parts)
    assert lead_called(machine, "kim@person.example").company == "Four"


JSONS: dict[str, tuple[dict[str, Any], int]] = {
    "something else beside": ({"cart": {"items": [1, 2]}, "tags": ["x"]}, 202),
    "a list for a field": ({"company": ["One"]}, 400),
    "too deep beside": ({"cart": [[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]}, 400),
    "half a letter": ({"company": "\ud800"}, 422),
    "nothing": ({"company": None}, 202),
}


@ONE_DATABASE
@pytest.mark.parametrize(("said", "status"), JSONS.values(), ids=JSONS.keys())
def test_json_beside_the_form_is_ignored(machine: Machine, visit: Visitor, said: dict[str, Any], status: int) -> None:
    """What the form does not ask may be anything; what it asks is one value."""
    content = json.dumps({"email": "kim@person.example", **said}).encode()

    answer = visit.post("/f/demo", headers={"content-type": "application/json"}, content=content)

    assert answer.status_code == status
