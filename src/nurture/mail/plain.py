"""Plain text from a template and a lead: text messages, and what salespeople are asked. Nothing is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import category

from nurture.mail.faults import TemplateFault
from nurture.mail.render import Brand, gathered, placed
from nurture.mail.sandbox import MOMENT, Moment
from nurture.mail.templates import Templates, locale

#: Characters of a text message that any sender takes (Twilio's limit for one body).
LONGEST = 1_600
#: Bytes that a template may print before spaces and empty lines are taken away.
MOST = 16_384


@dataclass(frozen=True)
class PlainText:
    """What came of a template, from which language variant."""

    text: str
    variant: str
    language: str


class PlainRenderer:
    """Renders the templates in `files` in the same sandbox as letters."""

    def __init__(self, files: Mapping[str, str], brand: Brand) -> None:
        self.templates = Templates(files, escaped=False)
        self._house = {
            "brand": brand.name,
            "sender": {"name": brand.sender_name, "address": brand.sender_address},
            "address": brand.address,
        }

    def render(self, message: str, language: str, fallback: str, names: Mapping[str, Any]) -> PlainText:
        """The text for a lead that speaks `language`; raises TemplateFault with file and line, for this one."""
        variant = self.templates.variant(message, language, fallback)
        spoken = self.templates.language(variant, fallback)
        compiled = self.templates.compiled(variant)
        known = {**compiled.given, **self._house, "language": spoken, **names}
        moment = MOMENT.set(Moment(locale(spoken), str))
        try:
            context = compiled.template.new_context(known)
            text = _lines(gathered(compiled.template.root_render_func(context), MOST))
        except Exception as problem:
            raise placed(problem, variant) from None
        finally:
            MOMENT.reset(moment)
        if not text:
            raise TemplateFault(variant, 1, "the text is empty")
        if len(text) > LONGEST:
            raise TemplateFault(variant, 1, f"the text has {len(text):,} characters; {LONGEST:,} are the most")
        return PlainText(text, variant, spoken)


def _lines(text: str) -> str:
    """Without control characters, and without spaces and empty lines around it."""
    lines = ("".join(sign for sign in line if category(sign) != "Cc").strip() for line in text.splitlines())
    return "\n".join(lines).strip()
