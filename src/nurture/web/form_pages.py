"""The pages of a form: the form itself, its thanks with the next step, and the one that a marketer copies it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from nurture import clock
from nurture.web.embedding import snippet
from nurture.web.fields import HONEYPOT, asked
from nurture.web.form_visits import Sent, Visit
from nurture.web.letters import followable
from nurture.web.pages import Sign, direction, page
from nurture.web.submitting import BOXES, hexadecimal
from nurture.web.words import WORDS, kind_name, spoken


def form(visit: Visit, said: Mapping[str, str], wrong: Mapping[str, str] | None = None, once: str = "") -> Response:
    """The form, filled in as `said`; `wrong`: what to mend, as keys of the house's words."""
    return page(
        "form",
        visit.language,
        Sign.of(visit.house.program),
        status=422 if wrong else 200,
        title=visit.title,
        text=_text(visit),
        piece=_piece(visit, visit.piece),
        **_fields(visit, said, wrong or {}, once=once),
    )


def thanks(visit: Visit, submission: Sent | None) -> Response:
    """What is said once a form was sent; its next step only to whoever has sent it."""
    following, say = visit.form.next, WORDS[visit.language]
    link: dict[str, Any] | None = None
    piece: dict[str, Any] | None = None
    step: dict[str, Any] | None = None
    if following is not None and following.url is not None:
        link = {"url": following.url, "label": visit.says(following.label)}
    elif following is not None and following.offer is not None and submission is not None:
        piece = _piece(visit, visit.house.piece(visit.says(following.offer)))
        label = visit.says(following.label) or say["open_piece"]
        link = {"url": piece["url"], "label": label} if piece is not None else None
    elif following is not None and following.form is not None and submission is not None:
        further = _further(visit, following.form, submission)
        if further is not None:
            action = f"../{further.key}"
            step = {"title": visit.says(following.label) or further.title, "text": _text(further)}
            step |= _fields(further, {}, {}, action=action)
    return page(
        "thanks",
        visit.language,
        Sign.of(visit.house.program),
        text=visit.says(visit.form.thanks.text) or say["f_thanks"],
        link=link,
        piece=piece,
        step=step,
        **{name: value for name, value in (step or {}).items() if name not in ("title", "text")},
    )


def embed(visit: Visit, address: str) -> Response:
    """The HTML for one's own page, and the form as it works here; `address` is where it is sent."""
    fields = _fields(visit, {}, {}, action=f"../{visit.key}")
    return page(
        "embed",
        visit.language,
        Sign.of(visit.house.program),
        title=visit.title,
        text=_text(visit),
        key=visit.key,
        address=address,
        snippet=snippet(visit, address, fields),
        spoken=sorted(WORDS),
        names={language: WORDS[language]["own_name"] for language in WORDS},
        **fields,
    )


def _further(visit: Visit, key: str, submission: Sent) -> Visit | None:
    """The next step's form, in the language of this page."""
    further = visit.house.program.forms.get(key)
    if further is None:
        return None
    return replace(visit, key=key, form=further, touch=None, token="", before=submission, known=None, carried={})


def _fields(
    visit: Visit, said: Mapping[str, str], wrong: Mapping[str, str], *, action: str = "", once: str = ""
) -> dict[str, Any]:
    """What fields.html prints: the questions, the boxes, and what goes along unseen."""
    say = WORDS[visit.language]
    address = visit.before is None
    browser = hexadecimal(said, "visitor")
    along = {"once": once or clock.unguessable(), "lang": visit.language, "t": visit.token, "visitor": browser}
    along |= visit.carried
    if visit.before is not None:
        along["s"] = visit.before.token
    return {
        "asked": asked(visit.house, visit.form, visit.language, visit.questions, address=address),
        "said": said,
        "wrong": {name: say[complaint] for name, complaint in wrong.items()},
        "boxes": list(BOXES) if address else [],
        "agreed": visit.agreed and said.get("email") == (visit.known or {}).get("email"),
        "along": {name: value for name, value in along.items() if value},
        "honeypot": HONEYPOT,
        "action": action,
        "button": visit.says(visit.form.button) or say["f_send"],
    }


def _text(visit: Visit) -> str:
    return visit.says(visit.form.text) or str((visit.piece or {}).get("summary", ""))


def _piece(visit: Visit, piece: dict[str, Any] | None) -> dict[str, Any] | None:
    """A piece of the library as a page shows it; None for one whose address cannot be followed."""
    if piece is None or not followable(piece["url"]):
        return None
    host = (urlsplit(piece["url"]).hostname or "").removeprefix("www.")
    kind = kind_name(piece["kind"], spoken(piece["language"], visit.language))
    return {**piece, "dir": direction(piece["language"]), "host": host, "kind": kind}
