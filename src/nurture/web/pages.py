"""Pages: the house's own templates, one stylesheet inside each page, no script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.background import BackgroundTask

from nurture.mail.templates import locale
from nurture.program.models import ProgramFile
from nurture.web.words import WORDS

_FOLDER = Path(__file__).parent / "pages"
_STYLE = (_FOLDER / "style.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: Nothing is loaded, nothing runs; the one stylesheet is known by its hash.
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


_PAGES = _environment()


@dataclass(frozen=True)
class Sign:
    """Whose page this is: brand and postal address; nothing before the first publication."""

    brand: str = ""
    postal: str = ""

    @classmethod
    def of(cls, program: ProgramFile) -> Sign:
        return cls(program.name, program.address)


def direction(language: str) -> str:
    """`rtl` or `ltr`."""
    return "rtl" if locale(language).text_direction == "rtl" else "ltr"


def page(
    name: str,
    language: str,
    sign: Sign,
    *,
    status: int = 200,
    task: BackgroundTask | None = None,
    **names: Any,
) -> HTMLResponse:
    """The page `name`.html in a language that the house speaks; `task` runs after it was sent."""
    html = _PAGES.get_template(f"{name}.html").render(
        say=WORDS[language],
        language=language,
        dir=direction(language),
        sign=sign,
        style=_STYLE,
        **names,
    )
    return HTMLResponse(html, status, background=task)


def fragment(name: str, language: str, **names: Any) -> str:
    """A part of a page, `name`.html, as text."""
    known = {"say": WORDS[language], "language": language, "dir": direction(language)}
    return _PAGES.get_template(f"{name}.html").render(**known, **names)


def notice(
    key: str,
    language: str,
    sign: Sign,
    *,
    status: int = 200,
    task: BackgroundTask | None = None,
    **values: object,
) -> HTMLResponse:
    """A page of one heading and one sentence, `key` and `key`_more of the house's words."""
    say = WORDS[language]
    text = say.get(f"{key}_more", "").format(brand=sign.brand, **values)
    return page(
        "notice",
        language,
        sign,
        status=status,
        task=task,
        title=say[key].format(brand=sign.brand, **values),
        text=text,
    )
