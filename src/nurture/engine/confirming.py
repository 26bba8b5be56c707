"""The letter that asks for the second yes of a double opt-in: operational, untracked, one Message-ID at each attempt.

Whoever filled in the form may have typed anybody's address, so nothing that was typed stands in it: no name, no
company, only the brand, what is agreed to, and the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from nurture.engine import consents
from nurture.engine.live import Live
from nurture.engine.parcels import brand_of
from nurture.engine.suppressing import barred
from nurture.engine.tasks import Notice
from nurture.mail.confirmation import BUILT_IN, TEMPLATE, letter_names
from nurture.mail.render import Renderer
from nurture.mail.templates import Templates
from nurture.tokens import Keys


def letter(link: Connection, live: Live, number: int, keys: Keys, public_url: str, now: datetime) -> Notice | None:
    """The letter of confirmation `number`; None if it is wanted no more: confirmed, run out, or barred meanwhile.

    Raises TemplateFault where the program's own `_shared/confirm.j2` cannot be rendered.
    """
    row = consents.confirmation(link, number)
    if row is None or not consents.open_until(row, now) or barred(link, row.lead_id, row.address):
        return None
    house = live.house
    renderer = Renderer(templates(house.files), brand_of(house), keys, public_url)
    until = row.expires_at.astimezone(ZoneInfo(house.program.zone)).date()
    names = letter_names(row.address, texts(row.wording), f"{public_url}/y/{keys.seal('confirm', number)}", until)
    language = row.language or house.program.language
    rendered = renderer.notice(names, language, TEMPLATE, house.program.language)
    reply_to = house.program.reply_to
    return Notice(row.address, rendered, reply_to, from_name=house.program.sender.name)


def templates(files: Mapping[str, str]) -> Templates:
    """The program's templates, and the built-in letter where it has none of its own."""
    return Templates({**BUILT_IN, **files})


def texts(wording: Mapping[str, str]) -> list[str]:
    """What was agreed to, in the words that stood there; without the version that goes before them."""
    return [consents.text_of(said) for said in wording.values()]
