"""What rendering a letter costs, and that every byte is right: goal 3, beside Jinja2's sandbox, templates cached.

Two letters (`rich_letter.py`): one that extends a shared one and has a loop over five offers, conditions and 18 links,
and the plain one of the other benchmarks; each lead is another. The other side is `ImmutableSandboxedEnvironment`
itself: subject and HTML of the same template, and a text part written as a template, each link sealed. Ours makes its
text part of the HTML. Both give the same bytes. Microseconds of CPU a letter.
"""

from __future__ import annotations

import random
import re
import statistics
from collections.abc import Callable
from datetime import date
from functools import partial
from html import unescape
from typing import Any

import common
import rich_letter
from jinja2 import DictLoader, StrictUndefined, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nurture.mail import syntax
from nurture.mail.render import Brand, Rendered, Renderer, RenderJob
from nurture.mail.seals import Sealer
from nurture.mail.skeletons import QuickRenderer
from nurture.mail.templates import Templates
from nurture.tokens import keys

KEYS = keys("a secret of at least thirty-two characters")
URL, DAY = "https://go.bench.example", date(2026, 3, 2)
BRAND = Brand("Bench", "Lena", "bench@bench.example", "Bench Ltd, 1 Bench Street, Benchtown")
ROUNDS = 5
#: What leads are called; one field in five hundred so that the letter cannot come from a skeleton.
NAMES = ("Ana", "Jörg", "O'Neil", "Søren & Co", "Zoë-Marie", "Mbali", "東京", "שרה", "José", "Li")
STRANGE = ("two  spaces", " first", "a\nb", "&amp;", "http://elsewhere.example/", "x" * 300)


def leads(count: int) -> list[dict[str, Any]]:
    """The same ones each time."""
    chance = random.Random(7)

    def pick() -> str | None:
        return chance.choice(STRANGE if chance.random() < 0.002 else NAMES)

    return [
        {
            "email": f"lead{number}@lead.example", "first_name": pick(), "last_name": pick(), "company": pick(),
            "country": chance.choice(("RO", "DE", None)), "industry": "saas",
        }
        for number in range(count)
    ]  # fmt: skip


def ours(renderer: QuickRenderer, file: str, people: list[dict[str, Any]]) -> list[Rendered]:
    """Their letters, as a batch of them is made."""
    job = job_of(file, {}, 0)
    kind, render = renderer.kind(job), renderer.render_for
    return [render(kind, job, lead, Sealer(KEYS, number)) for number, lead in enumerate(people)]


def whole(renderer: Renderer, file: str, people: list[dict[str, Any]]) -> list[Rendered]:
    """Their letters, each rendered in full."""
    return [renderer.render(job_of(file, lead, number)) for number, lead in enumerate(people)]


def job_of(file: str, lead: dict[str, Any], number: int) -> RenderJob:
    """One letter."""
    return RenderJob(file, "", "en", lead, number, True, None, DAY)


def sandbox(file: str, people: list[dict[str, Any]], once: bool) -> Callable[[], list[tuple[str, str, str]]]:
    """The same letters by Jinja2 alone, templates compiled once: (subject, HTML, text) of each.

    `once`: what the links of a letter share is sealed once for each, not for each link.
    """
    files: dict[str, str] = dict(rich_letter.FILES)
    click: list[Callable[[int], str]] = [str]
    environment = ImmutableSandboxedEnvironment(loader=DictLoader(files), autoescape=True, undefined=StrictUndefined)
    # with the context, or Jinja2 would work it out when it compiles
    environment.filters["tracked"] = pass_context(lambda _, url: f"{URL}/c/{click[0](places[url])}")
    environment.finalize = lambda value: "" if value is None else value
    places = {url: place for place, url in enumerate(Templates(files).links(file))}
    for name, text in files.items():
        files[name] = syntax._HREF.sub(
            lambda found: found[0].replace(found[2], f"{{{{ '{found[2]}' | tracked }}}}"), text
        )
    macros = environment.get_template("_shared/macros.j2")
    given = {name: value for name, value in vars(macros.module).items() if not name.startswith("_")}
    template = environment.get_template(file)
    plain = environment.overlay(autoescape=False).from_string(rich_letter.TEXTS[file] + "\n")
    sender = {"name": BRAND.sender_name, "address": BRAND.sender_address}
    house = {**given, "brand": BRAND.name, "sender": sender, "address": BRAND.address, "language": "en", "dir": "ltr"}

    def render() -> list[tuple[str, str, str]]:
        made = []
        for number, lead in enumerate(people):
            click[0] = Sealer(KEYS, number).click if once else partial(KEYS.click, number)
            doors = {
                "unsubscribe_url": f"{URL}/u/{KEYS.seal('unsubscribe', number)}",
                "preferences_url": f"{URL}/p/{KEYS.seal('preferences', number)}",
            }
            context = template.new_context({**house, "lead": lead, "today": DAY, "offer": None, **doors})
            html = "".join(template.root_render_func(context))
            text = "".join(plain.root_render_func(plain.new_context(context.get_all())))
            made.append(("".join(context.blocks["subject"][0](context)), html, text))
        return made

    return render


def compared(made: list[Rendered], theirs: list[tuple[str, str, str]], people: list[dict[str, Any]]) -> None:
    """Assert that both wrote the same; ours alone are a subject's marks of direction, the link that no person sees, and
    one space where the text has several.
    """
    for one, (subject, html, text), lead in zip(made, theirs, people, strict=True):
        assert re.sub("[\u2066-\u2069\u200e\u200f]", "", one.subject) == unescape(subject).strip()
        assert re.sub("<a [^>]*aria-hidden[^>]*></a>", "", one.html) == html
        assert one.text == text or not {*STRANGE}.isdisjoint(lead.values())


def figures(file: str, people: list[dict[str, Any]]) -> list[dict[str, object]]:
    """Bytes compared first, then time."""
    quick = QuickRenderer(Templates(rich_letter.FILES), BRAND, KEYS, URL)
    slow = Renderer(Templates(rich_letter.FILES), BRAND, KEYS, URL)
    some = people[: len(people) // 10]
    once, each_link = sandbox(file, some, once=True), sandbox(file, some, once=False)
    made = ours(quick, file, people)
    assert made == whole(slow, file, people), "a letter from a skeleton is not its template's"
    compared(made[: len(some)], once(), some)
    compared(made[: len(some)], each_link(), some)

    def each(work: Callable[[], object], count: int) -> float:
        return common.cpu(work)[0] / count * 1e6

    found = common.in_turn(
        {
            "ours": lambda: each(lambda: ours(quick, file, people), len(people)),
            "Jinja2's sandbox, cached": lambda: each(once, len(some)),
            "the same, each link sealed": lambda: each(each_link, len(some)),
            "ours, in full": lambda: each(lambda: whole(slow, file, some[:200]), 200),
        },
        ROUNDS,
    )
    return [
        {
            "letter": f"{file}, {len(made[0].html) + len(made[0].text):,} characters", "side": side,
            "us of CPU": statistics.median(took),
            "times ours": statistics.median([one / own for one, own in zip(took, found["ours"], strict=True)]),
        }
        for side, took in found.items()
    ]  # fmt: skip


def main() -> None:
    """Both letters."""
    with common.bench(__doc__) as bench:
        people = leads(bench.size(10_000, 10_000))
        rich, plain = rich_letter.TEXTS
        bench.table(
            "a letter",
            [*figures(rich, people), *figures(plain, people[:2_000])],
            f"{len(people):,} leads' rich letters and a fifth of the others were byte for byte those of the full"
            " rendering, and a tenth of each those of Jinja2's sandbox.",
        )


if __name__ == "__main__":
    main()
