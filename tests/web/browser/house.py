"""A house that is open: both apps behind sockets, letters that were sent, and a page of somebody's own website."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
from sqlalchemy import select
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.records import Confirmation, Handoff, Lead, Suppression
from nurture.settings import Listen
from nurture.tokens import Purpose
from nurture.web.private import Surroundings
from nurture.web.server import PrivateServer, PublicServer
from tests.web.factories import FILES, later, lead_called, make_lead, opened, put_live, send, touch_of
from tests.web.sited import key

LANGUAGES = ("en", "ar")
#: Who has letters: a part of the address to what is done with them; one of each for each language.
READERS = ("reader", "leaver", "chooser", "answerer", "done", "follower")
PROGRAM = FILES["program.yaml"].replace(
    '  - {name: Mia Moss, email: mia@acorn.example, hours: "00:00-00:00", days: all}\n',
    '  - {name: Mia Moss, email: mia@acorn.example, hours: "00:00-00:00", days: all}\n'
    '  - {name: ليلى حداد, email: laila@acorn.example, hours: "00:00-00:00", days: all, countries: [EG], language: ar}\n',
)
TOPICS = "\ntopics: {product: {en: Product news, ar: أخبار المنتج}, events: {en: Events & webinars, ar: الفعاليات}}\n"
SITE_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Prices</title><link rel="icon" href="data:,">
<script src="{public}/nurture.js" data-key="{key}" data-consent="granted"></script></head>
<body><h1>Prices</h1>{form}</body></html>"""


@dataclass
class House:
    """`url`, `strict`, `private`, `site`: where the public app, one that takes a single form a minute, the private
    app, and the website are."""

    machine: Machine
    url: str
    strict: str
    private: str
    site: str
    folder: Path
    handoffs: dict[str, list[int]] = field(default_factory=dict)
    confirmations: dict[str, list[int]] = field(default_factory=dict)

    def letter(
        self, door: str, purpose: Purpose, reader: str, language: str, item: int = 0, step: str = "hello"
    ) -> str:
        """An address in a letter of somebody."""
        touch = touch_of(self.machine, address(reader, language), step).id
        return f"{self.url}/{door}/{self.machine.keys.seal(purpose, touch, item)}"

    def handoff(self, language: str, item: int, which: int = 0) -> str:
        """An address in the notice that a salesperson of this language got."""
        return f"{self.url}/h/{self.machine.keys.seal('handoff', self.handoffs[language][which], item)}"

    def confirmation(self, language: str, which: int = 0) -> str:
        """An address in a letter that asks for the second yes."""
        return f"{self.url}/y/{self.machine.keys.seal('confirm', self.confirmations[language][which])}"

    def lead(self, who: str) -> Any:
        """The row of a lead."""
        return lead_called(self.machine, who)

    def rows(self, table: Any, who: str) -> list[Any]:
        """What a table knows of a lead, oldest first."""
        mine = select(table.__table__).where(col(table.lead_id) == self.lead(who).id)
        with self.machine.db.read() as link:
            return list(link.execute(mine.order_by(*table.__table__.primary_key)))

    def barred(self, who: str) -> bool:
        """Whether this address is on the suppression list."""
        with self.machine.db.read() as link:
            return link.execute(select(col(Suppression.id)).where(col(Suppression.value) == who)).first() is not None


def address(reader: str, language: str) -> str:
    """Whose letters those are."""
    return f"{reader}.{language}@acme.example"


@contextmanager
def open_house(database: Path, folder: Path) -> Iterator[House]:
    """The house over `database`, which has tables and no rows; `folder`: the website's pages."""
    with ExitStack() as stack:
        site = stack.enter_context(website(folder))
        place = _free_port()
        files = FILES | {
            "program.yaml": PROGRAM + TOPICS + f"website: {{hosts: ['{site.removeprefix('http://')}']}}\n",
            "readers/hello.j2": FILES["readers/hello.j2"].replace("https://acorn.example/tour", f"{site}/prices.html"),
        }
        machine = stack.enter_context(opened(f"sqlite:///{database}", files=None))
        machine.public_url = f"http://127.0.0.1:{place}"
        put_live(machine, files)
        public = stack.enter_context(
            PublicServer(machine, place, forms_per_minute=1000, forms_per_address=1000, refused_per_minute=1000)
        )
        strict = stack.enter_context(PublicServer(machine, forms_per_minute=1))
        private = stack.enter_context(PrivateServer(machine, Listen("127.0.0.1", 0), Surroundings()))
        house = House(machine, public.url, strict.url, private.url, site, folder)
        _people(house)
        yield house


def _people(house: House) -> None:
    for language in LANGUAGES:
        for reader in READERS:
            name = {"en": "Rae", "ar": "نورة"}[language]
            make_lead(house.machine, address(reader, language), first_name=name, language=language)
    send(house.machine)
    send(house.machine)
    with httpx.Client(base_url=house.url) as client:
        for language, country in (("en", "GB"), ("ar", "EG")):
            said = {"first_name": {"en": "Kim", "ar": "كريم"}[language], "company": "Büro & Söhne", "country": country}
            at = {"en": "person", "ar": "another"}[language]  # people of one domain have one owner
            for number in range(2):
                _sent(client, "demo", email=f"asks{number}.{language}@{at}.example", lang=language, **said)
                _sent(client, "news", email=f"yes{number}.{language}@person.example", lang=language, consent="yes")
    with house.machine.db.read() as link:
        to_sales: list[Any] = list(link.execute(select(col(Handoff.id), col(Handoff.owner)).order_by(col(Handoff.id))))
        asked = select(col(Confirmation.id), col(Lead.email)).join(Lead, col(Lead.id) == col(Confirmation.lead_id))
        rows: list[Any] = list(link.execute(asked.order_by(col(Confirmation.id))))
    for number, owner in to_sales:
        house.handoffs.setdefault("en" if owner == "mia@acorn.example" else "ar", []).append(number)
    for number, email in rows:
        house.confirmations.setdefault(email.partition("@")[0].rpartition(".")[2], []).append(number)
    later(house.machine)


def _sent(client: httpx.Client, form: str, **said: str) -> None:
    answer = client.post(f"/f/{form}", data=said)
    assert answer.status_code == 303, answer.text


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing is written down."""


@contextmanager
def website(folder: Path) -> Iterator[str]:
    """Files of a folder at an origin of their own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def site_page(house: House, name: str, form: str = "") -> str:
    """A page with the snippet, and a form if it is given one; its address."""
    text = SITE_PAGE.format(public=house.url, key=key(house.machine, name, "site"), form=form)
    (house.folder / f"{name}.html").write_text(text, encoding="utf-8")
    return f"{house.site}/{name}.html"


def _free_port() -> int:
    """A port that was free a moment ago: links in letters name it before the app is there."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
