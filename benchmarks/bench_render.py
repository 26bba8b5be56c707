"""What rendering a letter costs, and that every byte is right: goal 3, beside Jinja2's sandbox, templates cached.

The letter extends a shared one, has 16 links, four kinds of personal parts and a branch; each lead's is another. The
other side is `ImmutableSandboxedEnvironment` itself: subject and HTML of the same template and a text part written as a
template, each link with a sealed token of its own. Ours makes its text part of the HTML. Microseconds of CPU a letter.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable
from datetime import date
from typing import Any

import common
import letters
from jinja2 import DictLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nurture.mail import syntax
from nurture.mail.render import Brand, Renderer, RenderJob
from nurture.mail.skeletons import QuickRenderer
from nurture.mail.templates import Templates
from nurture.tokens import keys

KEYS = keys("a secret of at least thirty-two characters")
URL, DAY, FILE = "https://go.bench.example", date(2026, 3, 2), "bench/hello.j2"
BRAND = Brand("Bench", "Lena", "bench@bench.example", "Bench Ltd, 1 Bench Street, Benchtown")
ROUNDS = 5
#: What leads are called; one field in five hundred so that the letter cannot come from a skeleton.
NAMES = ("Ana", "Jörg", "O'Neil", "Søren & Co", "Zoë-Marie", "Mbali", "東京", "שרה", "José", "Li")
STRANGE = ("two  spaces", " first", "a\nb", "&amp;", "http://elsewhere.example/", "x" * 300)


_TEXT = (
    "Hi {{ lead.first_name or 'there' }},\n\n"
    + "".join(
        f"Read page {number} for {{{{ lead.company or 'you' }}}}"
        f" ({{{{ 'https://bench.example/read/{number}' | tracked }}}})\n\n"
        for number in range(16)
    )
    + "{% if lead.country == 'RO' %}Our office in Cluj is open again.{% else %}Write to us.{% endif %}\n\n"
    "{{ address }}\nUnsubscribe ({{ unsubscribe_url }})\nChoose ({{ preferences_url }})\n"
)


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


def ours(renderer: Renderer, people: list[dict[str, Any]]) -> list[Any]:
    """Their letters."""
    return [
        renderer.render(RenderJob(FILE, "", "en", lead, number, True, None, DAY)) for number, lead in enumerate(people)
    ]


def sandbox(people: list[dict[str, Any]]) -> Callable[[], list[Any]]:
    """The same letters by Jinja2 alone, templates compiled once: (subject, HTML, text) of each."""
    files = {name: text for name, text in letters.FILES.items() if name.endswith(".j2")}
    place, seal, now = itertools.count(), KEYS.seal, [0]

    def tracked(url: str) -> str:
        return f"{URL}/c/{seal('click', now[0], places[url])}"

    environment = ImmutableSandboxedEnvironment(loader=DictLoader(files), autoescape=True, undefined=StrictUndefined)
    environment.filters["tracked"] = tracked
    environment.finalize = lambda value: "" if value is None else value
    templates = Templates(files)
    places = {url: next(place) for url in templates.links(FILE)}
    for name, text in files.items():
        files[name] = syntax._HREF.sub(
            lambda found: found[0].replace(found[2], f"{{{{ '{found[2]}' | tracked }}}}"), text
        )
    macros = environment.get_template("_shared/macros.j2")
    given = {name: value for name, value in vars(macros.module).items() if not name.startswith("_")}
    template = environment.get_template(FILE)
    plain = environment.from_string(_TEXT)
    sender = {"name": BRAND.sender_name, "address": BRAND.sender_address}
    house = {**given, "brand": BRAND.name, "sender": sender, "address": BRAND.address, "language": "en", "dir": "ltr"}

    def render() -> list[Any]:
        made = []
        for number, lead in enumerate(people):
            now[0] = number
            doors = {
                "unsubscribe_url": f"{URL}/u/{seal('unsubscribe', number)}",
                "preferences_url": f"{URL}/p/{seal('preferences', number)}",
            }
            context = template.new_context({**house, "lead": lead, "today": DAY, "offer": None, **doors})
            html = "".join(template.root_render_func(context))
            text = "".join(plain.root_render_func(plain.new_context(context.get_all())))
            made.append(("".join(context.blocks["subject"][0](context)), html, text))
        return made

    return render


def main() -> None:
    """Compare bytes first, then time."""
    with common.bench(__doc__) as bench:
        people = leads(bench.size(10_000, 10_000))
        files = {name: text for name, text in letters.FILES.items() if name.endswith(".j2")}
        whole = Renderer(Templates(files), BRAND, KEYS, URL)
        quick = QuickRenderer(Templates(files), BRAND, KEYS, URL)
        assert ours(quick, people) == ours(whole, people), "a letter from a skeleton is not its template's"
        some = people[: len(people) // 10]
        rendered = sandbox(some)
        assert all(len(html) > 4_000 and len(text) > 1_500 for _, html, text in rendered())

        def each(work: Callable[[], object], count: int) -> float:
            return common.cpu(work)[0] / count * 1e6

        found = common.in_turn(
            {
                "ours": lambda: each(lambda: ours(quick, people), len(people)),
                "Jinja2's sandbox, cached": lambda: each(rendered, len(some)),
                "ours, in full": lambda: each(lambda: ours(whole, some), len(some)),
            },
            ROUNDS,
        )
        rows = [
            {
                "side": side, "us of CPU": statistics.median(figures),
                "times ours": statistics.median([one / own for one, own in zip(figures, found["ours"], strict=True)]),
            }
            for side, figures in found.items()
        ]  # fmt: skip
        bench.table(
            f"a letter of {len(ours(quick, people[:1])[0].html):,} characters",
            rows,
            f"{len(people):,} leads' letters were byte for byte those of the full rendering.",
        )


if __name__ == "__main__":
    main()
