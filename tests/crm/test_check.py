"""`check` of `crm:`: the very line that a marketer reads."""

from __future__ import annotations

import pytest

from nurture.program.check import check
from tests.crm.office import files

HUBSPOT = "  kind: hubspot\n"
SALESFORCE = "  kind: salesforce\n"
#: What is written after `crm:` and `url:`, and what `check` says of it; line 10 is that of `url`.
CASES: dict[str, tuple[str, list[str]]] = {
    "all that is needed": (HUBSPOT, []),
    "names where they are needed": (
        f"{HUBSPOT}  owns: {{nurture: [score, employees], crm: [owner]}}\n  fields: {{my_score: score, staff: employees}}\n", [],
    ),
    "a field of both sides": (
        f"{HUBSPOT}  owns: {{nurture: [company], crm: [company]}}\n",
        ["12:36: 'company' belongs to both sides, so neither could be believed; leave it out of owns.crm or owns.nurture"],
    ),
    "a field of nobody": (
        f"{HUBSPOT}  owns: {{nurture: [company], crm: [phone]}}\n  fields: {{title_there: title}}\n",
        ["13:25: 'title' belongs to nobody, so it would be neither told nor heard; name it under owns.nurture or owns.crm"],
    ),
    "a field that no lead has": (
        f"{HUBSPOT}  owns: {{nurture: [compny], crm: [phone]}}\n",
        ["12:20: no lead has a field 'compny'; did you mean 'company'?"],
    ),
    "no name over there": (
        f"{SALESFORCE}  owns: {{nurture: [score], crm: [phone]}}\n",
        ["12:20: salesforce has no usual name for 'score'; write fields: {THEIR_NAME: score}"],
    ),
    "two names over there": (
        f"{HUBSPOT}  owns: {{nurture: [score], crm: [phone]}}\n  fields: {{a: score, b: score}}\n",
        ["13:25: 'score' has two names over there; keep one of them"],
    ),
    "a name for two": (
        f"{HUBSPOT}  owns: {{nurture: [score], crm: [phone]}}\n  fields: {{phone: score}}\n",
        ["13:12: 'phone' is what they call 'phone', and 'fields' gives it to 'score'; give 'phone' another name"],
    ),
    "ours alone": (
        f"{HUBSPOT}  owns: {{nurture: [company], crm: [stage]}}\n",
        ["12:36: 'stage' is never heard of a CRM; leave it out: what sales says of a lead comes as answers to its hand-off"],
    ),
    "the address": (
        f"{HUBSPOT}  owns: {{nurture: [email], crm: [phone]}}\n",
        ["12:20: the address is told of every lead; leave it out"],
    ),
    "no such stage": (
        f"{HUBSPOT}  stages: {{mqll: x}}\n", ["12:12: 'mqll' is no stage; did you mean 'mql'?"],
    ),
    "no such reason": (
        f"{HUBSPOT}  answers: {{Dead: {{lost: prise}}}}\n  deals: {{reasons: {{Costs: money}}, otherwise: so}}\n",
        ["12:26: 'prise' is no reason of 'lost:'; did you mean 'price'?",
         "13:28: 'money' is no reason of 'lost:'; known: competitor, no_decision, no_need, price, timing, unreachable",
         "13:47: 'so' is no reason of 'lost:'; write otherwise: price"],
    ),
    "neither the one nor the other": (
        f"{HUBSPOT}  answers: {{Dead: {{}}}}\n",
        ["12:19: neither 'rejected' nor 'lost' is said, or both; write {rejected: premature}"],
    ),
    "no such answer": (
        f"{HUBSPOT}  answers: {{Working: acepted}}\n",
        [
            "12:22: 'acepted' is not one of accepted, met, sql, opportunity, recycled; did you mean 'accepted'?"
        ],
    ),
    "an unknown key": (f"{HUBSPOT}  own: {{}}\n", ["12:3: 'own' is not known here; did you mean 'owns'?"]),
}  # fmt: skip


def program(written: str, url: str = "https://crm.example") -> dict[str, str]:
    """A sound program, but for what is tried."""
    made = files(written, url)
    return made | {"program.yaml": made["program.yaml"].replace("since: date", "began: date")}


@pytest.mark.parametrize("case", CASES)
def test_what_check_says(case: str) -> None:
    """Each with its place and the way out."""
    written, wanted = CASES[case]
    said = [str(problem).removeprefix("program.yaml:") for problem in check(program(written))]
    assert said == wanted


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://crm.example", "does not begin with https://"), ("https://a:b@crm.example", "without name")],
)
def test_where_it_is_reached(url: str, said: str) -> None:
    """Plain http is for this machine alone, and secrets are no part of an address."""
    (problem,) = [str(one) for one in check(program(SALESFORCE, url))]
    assert said in problem


def test_an_address_that_must_be_said() -> None:
    """HubSpot has one for all; the others do not."""
    made = program(SALESFORCE)
    made["program.yaml"] = made["program.yaml"].replace("  url: https://crm.example\n", "")
    (problem,) = [str(one) for one in check(made)]
    assert problem == "program.yaml:10:9: where it is reached is not said; write url: https://…"
