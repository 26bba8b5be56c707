"""What is wrong with the program's own letter that asks for the second yes of a double opt-in."""

from __future__ import annotations

from datetime import date

from nurture.language.problems import Problem
from nurture.language.source import Source
from nurture.mail.confirmation import TEMPLATE, letter_names
from nurture.mail.faults import TemplateFault
from nurture.mail.render import Brand, Renderer
from nurture.mail.templates import Templates
from nurture.program.check_conditions import Known
from nurture.tokens import Keys

_LINK = "https://sample.example/y/sample"
_SAMPLE = letter_names("kim@sample.example", ["You may write to me."], _LINK, date(2026, 3, 9))


def check_confirmation(program: Source, known: Known) -> list[Problem]:
    """Each variant of `_shared/confirm.j2` is rendered once; it must hold the link that it is sent for."""
    shared = Templates({name: text for name, text in known.files.items() if name.startswith("_shared/")})
    texts = (program.at(path) for path in (("name",), ("sender", "name"), ("sender", "address"), ("address",)))
    brand = Brand(*(str(text or "Sample") for text in texts))
    renderer = Renderer(shared, brand, Keys(("sample " * 8,)), "https://sample.example")
    found = []
    for variant in shared.variants(TEMPLATE):
        try:
            rendered = renderer.notice(_SAMPLE, shared.language(variant, known.language), variant)
        except TemplateFault as fault:
            found.append(Problem(fault.file, fault.line, 1, fault.problem, "mend this line"))
            continue
        if _LINK not in rendered.html:
            found.append(Problem(variant, 1, 1, "nothing leads to the confirmation", "link to {{ confirm_url }}"))
    return found
