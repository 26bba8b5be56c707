"""The private app: who is let in, whether the house is fit, and what its numbers say."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nurture.db import Database
from nurture.doctor import services
from nurture.engine.machine import Machine
from nurture.web import metrics as measuring
from nurture.web.metrics import Metrics, Timed
from nurture.web.private import Surroundings, private_app
from nurture.web.public import public_app
from tests.operator.peers import web
from tests.web.factories import DEMO, FORM, PAGE, Visitor, handed_over, later, links_in, opened

TOKEN = "0123456789abcdef" * 4
HERE = "http://127.0.0.1:8322"
#: What is the same on either database.
ONE_KIND = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)


class House:
    """Somebody who asks the private app."""

    def __init__(self, machine: Machine, given: Surroundings | None = None) -> None:
        self.metrics = Metrics.of(machine)
        self.app = private_app(machine, given or Surroundings(), self.metrics)
        self.public = Visitor(machine)
        self.public.app = Timed(public_app(machine), self.metrics.times)  # type: ignore[assignment]

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> httpx.Response:
        return asyncio.run(self._ask(method, path, dict(headers or {})))

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        door = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=door, base_url=HERE) as client:
            return await client.request(method, path, headers=headers)

    def figures(self) -> dict[tuple[str, ...], float]:
        """What /metrics says: (name, label values…) to value."""
        text = self.get("/metrics").text
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


#: What is asked for, how, and what is answered, with a token set.
ASKED: dict[str, tuple[str, dict[str, str], int]] = {
    "the token": ("/metrics", {"authorization": f"Bearer {TOKEN}"}, 200),
    "the token as a browser gives it": ("/", {"authorization": basic("ana", TOKEN)}, 200),
    "no token": ("/metrics", {}, 401),
    "another token": ("/", {"authorization": f"Bearer {TOKEN[:-1]}0"}, 401),
    "a token that is no text": ("/", {"authorization": "Basic ////"}, 401),
    "another scheme": ("/", {"authorization": f"Digest {TOKEN}"}, 401),
    "the description without a token": ("/openapi.json", {}, 401),
    "the public description without a token": ("/openapi/public.json", {}, 401),
    "liveness is told to everybody": ("/health/live", {}, 200),
    "readiness is told to everybody": ("/health", {}, 200),
    "another name": ("/health/live", {"host": "evil.example"}, 403),
    "a name that is none": ("/health/live", {"host": "[:::"}, 403),
    "a name of ours": ("/health/live", {"host": "nurture.internal:80"}, 200),
    "another port of this machine": ("/health/live", {"host": "localhost:1"}, 200),
    "a page of another site": ("/health/live", {"origin": "https://evil.example"}, 403),
    "a page of a broken address": ("/health/live", {"origin": "http://["}, 403),
    "a page of nowhere": ("/health/live", {"origin": "null"}, 403),
    "a page of ours": ("/health/live", {"origin": HERE}, 200),
    "what is not there": ("/docs", {"authorization": f"Bearer {TOKEN}"}, 404),
}


@pytest.fixture(scope="module")
def guarded(lettered_sqlite: Any) -> Iterator[House]:
    """One with a token and a name."""
    with opened(f"sqlite:///{lettered_sqlite[0]}", files=None) as machine:
        house = House(machine, Surroundings(hosts=["Nurture.internal"], token=TOKEN))
        assert house.get("/health").json() == {"ok": True}
        yield house


@pytest.mark.parametrize(("path", "headers", "status"), ASKED.values(), ids=ASKED.keys())
def test_who_is_let_in(guarded: House, path: str, headers: dict[str, str], status: int) -> None:
    """By name, site and token; whoever is not is told how to be."""
    answer = guarded.get(path, headers)

    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_health_says_more_to_those_who_are_known(guarded: House) -> None:
    known = guarded.get("/health", {"authorization": f"Bearer {TOKEN}"}).json()

    assert [check["name"] for check in known["checks"] if check["ok"]][-1] == "journal"
    assert guarded.get("/health", method="POST").status_code == 405


@ONE_KIND
def test_the_index_shows_the_way(machine: Machine) -> None:
    """Its forms are found at the public app, Prefect where it is; who reads Arabic has it from right to left."""
    house = House(machine, Surroundings(prefect="http://127.0.0.1:4200"))
    english, arabic = (house.get("/", {"accept-language": language}).text for language in ("en", "ar-EG"))

    links = links_in(english)
    assert {"/f/demo", "/f/demo/embed", "http://127.0.0.1:4200", "health", "metrics"} <= set(links)
    assert 'lang="ar" dir="rtl"' in arabic
    assert (">The guide<" in english, ">الدليل<" in arabic, ">guide<" in english) == (True, True, False)
    assert links_in(arabic) == links


@ONE_KIND
def test_both_apps_are_described(machine: Machine) -> None:
    """Each address with the ways to ask for it, each of these under a name of its own."""
    house = House(machine)
    own, public = (house.get(path).json()["paths"] for path in ("/openapi.json", "/openapi/public.json"))

    assert {path: list(ways) for path, ways in own.items()}.items() >= {"/health": ["get"], "/metrics": ["get"]}.items()
    assert sorted(public["/f/{key}"]) == ["get", "post"]
    for paths in (own, public):
        names = [way["operationId"] for ways in paths.values() for way in ways.values()]
        assert len(names) == len(set(names))


def test_metrics_count_what_is_there(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters, leads inside, a hand-off that becomes late; and no word of any lead."""
    monkeypatch.setattr(measuring, "FRESH", -1.0)
    house = House(machine)
    before = house.figures()

    handed_over(machine, Visitor(machine))
    figures = house.figures()
    later(machine, days=9)

    assert figures["nurture_touches", "sent"] == 4
    assert figures["nurture_enrolments_live", "readers"] == 2
    assert figures["nurture_handoffs", "open"] == figures["nurture_database_up",] == 1
    assert (figures["nurture_handoffs", "late"], house.figures()["nurture_handoffs", "late"]) == (0, 1)
    assert before["nurture_events_total", "person"] == 0 < figures["nurture_events_total", "person"]
    assert house.figures()["nurture_due_oldest_seconds", "readers"] > 0
    text = house.get("/metrics").text
    assert not any(word in text for word in ("@", "example", "Rae", "Kim"))


@ONE_KIND
def test_requests_are_timed_by_door_and_status(machine: Machine) -> None:
    """Of an address its first part alone is a label: the rest is a key."""
    house = House(machine)
    house.public.get("/f/demo")
    house.public.post("/f/demo", data=DEMO, headers=FORM)
    house.public.get("/u/a-token-that-nobody-made", headers=PAGE)
    house.public.get("/wp-admin/setup")

    counts = {key[1:]: value for key, value in house.figures().items() if key[0].endswith("request_seconds_count")}
    assert counts == {("f", "200"): 1, ("f", "303"): 1, ("u", "404"): 1, ("other", "404"): 1}
    assert "nobody-made" not in house.get("/metrics").text


@ONE_KIND
def test_a_look_is_shown_for_a_while(machine: Machine) -> None:
    """However often they are asked for, the database is asked once in ten seconds."""
    house = House(machine)
    house.figures()
    handed_over(machine, Visitor(machine))

    assert house.figures()["nurture_handoffs", "open"] == 0


def unfit(house: House) -> dict[str, str]:
    answer = house.get("/health")
    wrong = {check["name"]: check["said"] for check in answer.json()["checks"] if not check["ok"]}
    assert answer.status_code == (503 if wrong else 200)
    return wrong


@ONE_KIND
def test_prefect_that_answers_strangers_is_not_ready(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback alone, or with a password, it is; at another address without one, or away, it is not."""
    monkeypatch.setattr(services, "_own_address", lambda: "127.0.0.2")
    found = {}
    for case, (inside, outside) in {"open": (200, 200), "password": (401, 401), "loopback": (200, None)}.items():
        with web(inside) as port:
            house = House(machine, Surroundings(environment={"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}))
            if outside is None:
                found[case] = unfit(house)
                continue
            with web(outside, "127.0.0.2", port=port):
                found[case] = unfit(house)
    found["away"] = unfit(house)  # seen five seconds ago
    away = House(machine, Surroundings(environment={"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}))

    assert found["password"] == found["loopback"] == found["away"] == {}
    assert "answers whoever asks" in found["open"]["Prefect"]
    assert "no server answers" in unfit(away)["Prefect"]


@ONE_KIND
def test_a_journal_that_cannot_be_written_is_not_ready(machine: Machine, tmp_path: Path) -> None:
    """Nothing could be sent; the way out is said."""
    machine.journal_folder = tmp_path / "journal"
    assert unfit(House(machine)) == {}
    machine.journal_folder = tmp_path / "file" / "journal"
    machine.journal_folder.parent.write_text("")

    assert "cannot be written" in unfit(House(machine))["journal"]


@ONE_KIND
def test_without_a_database(machine: Machine, tmp_path: Path) -> None:
    """Health says so, metrics still come, and the index is still a page."""
    house = House(machine)
    machine.db.dispose()
    machine.db = Database(f"sqlite:///{tmp_path / 'gone' / 'nurture.db'}")

    assert "unable to open" in unfit(house)["database"]
    assert house.figures()["nurture_database_up",] == 0
    assert "does not answer" in house.get("/").text
