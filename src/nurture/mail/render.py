"""A variant and a lead become subject, HTML and text, with the links of this one touch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from html import escape, unescape
from typing import Any

from babel import Locale
from jinja2.runtime import Context

from nurture.mail.direction import led
from nurture.mail.faults import TemplateFault, TooMuch
from nurture.mail.mjml import is_mjml, outline, to_html
from nurture.mail.sandbox import MOMENT, Moment, for_templates
from nurture.mail.seals import Seal, Sealer
from nurture.mail.templates import Compiled, Templates, locale
from nurture.mail.text import plain_text, tidy
from nurture.mail.utm import tag_html, tag_text
from nurture.mail.watching import MARK, Unwatched, Watch, WatchedLead
from nurture.tokens import Keys

#: Bytes of a message's HTML, and of its text.
LARGEST = 1_048_576
#: Tags of a message: with so many, its text part is made in a fifth of a second.
MOST_TAGS = 20_000
#: The place sealed into the click token of a form's address; no static link has it.
FORM_PLACE = 0xFFFF
#: The place of the link that no person sees.
TRAP_PLACE = 0xFFFD
NOTICE = "_shared/notice.j2"
_SAID: dict[type, str] = {
    RecursionError: "a macro calls itself without end",
    MemoryError: "it needs more memory than there is",
}
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)
NO_TAGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Brand:
    """Who writes: program.yaml's name, sender and postal address."""

    name: str
    sender_name: str
    sender_address: str
    address: str


@dataclass(frozen=True)
class RenderJob:
    """One message to one lead."""

    #: File relative to the templates' folder, without language: `saas-evaluators/welcome.j2`.
    message: str
    #: The lead's language, `ar-EG`; empty when it is not known.
    language: str
    fallback: str
    #: Every declared field by name; None where the lead has nothing.
    lead: Mapping[str, Any]
    touch_id: int
    #: The lead's tracking consent: without it links stay as they are written.
    tracked: bool
    #: title, summary, url, kind of the piece that an offer step chose.
    offer: Mapping[str, Any] | None
    #: The lead's local day.
    today: date
    operational: bool = False
    #: utm parameters of its links, by name without `utm_`.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: Name and address of who writes; None: the brand's sender.
    sender: tuple[str, str] | None = None
    #: Whether a tracked message says when it was opened.
    opens: bool = False


@dataclass(slots=True)
class Rendered:
    """What a message says. `links`: the static links of `variant`, by the place that their tokens carry."""

    subject: str
    html: str
    text: str
    links: list[str] = field(default_factory=list)
    variant: str = ""
    language: str = ""
    #: HTML and text are known to be tame (`bodies.is_tame`).
    tame: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Written:
    """A message as its templates wrote it, the subject not yet made one line."""

    #: As HTML.
    subject: str
    html: str
    text: str
    links: list[str]
    variant: str
    language: str
    #: `ltr` or `rtl`.
    direction: str

    def rendered(self) -> Rendered:
        """The message. Raises ValueError if its subject is empty."""
        return Rendered(
            subject_line(self.subject, self.direction), self.html, self.text, self.links, self.variant, self.language
        )


class Renderer:
    """Renders the messages of one version; the links in them begin with `public_url`."""

    def __init__(
        self, templates: Templates, brand: Brand, keys: Keys, public_url: str,
        answers: Mapping[tuple[str, str], int] | None = None,
    ) -> None:  # fmt: skip
        """`answers`: (question, answer) to its place among the program's; None: no letter is sent, any will do."""
        self.templates = templates
        self.keys = keys
        self._answers = answers
        self.public_url = public_url.rstrip("/")
        self._house = {
            "brand": brand.name,
            "sender": {"name": brand.sender_name, "address": brand.sender_address},
            "address": brand.address,
        }

    def render(self, job: RenderJob) -> Rendered:
        """The message of `job`; raises TemplateFault with file and line, for this one message."""
        return self.write(job, Sealer(self.keys, job.touch_id)).rendered()

    def write(self, job: RenderJob, seal: Seal, watch: Watch | None = None) -> Written:
        """What the templates make of `job`; `seal`: its touch's tokens. `watch`: who watches the rendering."""
        variant = self.templates.variant(job.message, job.language, job.fallback)
        language = self.templates.language(variant, job.fallback)
        compiled = self.templates.compiled(variant)
        unsubscribe_url = f"{self.public_url}/u/{seal('unsubscribe')}"
        names = {
            "lead": dict(job.lead) if watch is None else WatchedLead(watch),
            "unsubscribe_url": unsubscribe_url,
            "preferences_url": f"{self.public_url}/p/{seal('preferences')}",
            "offer": None if job.offer is None else {**job.offer, "url": f"{self.public_url}/o/{seal('offer')}"},
            "form_url": for_templates(lambda key: self._form_url(key, job, seal)),
            "answer_url": for_templates(lambda question, answer: self._answer_url(question, answer, seal)),
            "today": job.today,
        }
        if job.sender is not None:
            names["sender"] = dict(zip(("name", "address"), job.sender, strict=True))
        moment = Moment(nearer(job.language, language), self._links(compiled, job, seal), watch=watch)
        made = self._written(compiled, names, language, moment, job.tags)
        if not job.operational and escape(unsubscribe_url, quote=False) not in made.html:
            raise TemplateFault(variant, 1, "there is no unsubscribe link; print {{ unsubscribe_url }}")
        return replace(made, html=self._watched(made.html, job, seal)) if job.tracked else made

    def notice(
        self, names: Mapping[str, Any], language: str, file: str = NOTICE, fallback: str | None = None
    ) -> Rendered:
        """A notice of the house to sales, with `names`; its links are never tracked. Raises TemplateFault.

        `fallback`: the language of `file` itself; None: whatever `language` says.
        """
        variant = self.templates.variant(file, language, fallback or language)
        spoken = self.templates.language(variant, fallback or language)
        return self._written(self.templates.compiled(variant), names, spoken, Moment(locale(spoken), str)).rendered()

    def finished(self, written: str, direction: str) -> str:
        """What a template printed, as HTML. Raises ValueError and TooMuch."""
        html = _bounded(to_html(written, direction)) if is_mjml(written) else written
        if html.count("<") > MOST_TAGS:
            raise TooMuch(f"the message has more than {MOST_TAGS} tags")
        return html

    def _watched(self, html: str, job: RenderJob, seal: Seal) -> str:
        """A tracked message with, last in its body, the link that no person sees and the image that tells of opening.

        Neither is in its text part; docs/tracking.md says what for.
        """
        trap = f"{self.public_url}/c/{seal.click(TRAP_PLACE)}"
        marks = f'<a href="{trap}" hidden aria-hidden="true" tabindex="-1" style="display:none;mso-hide:all"></a>'
        if job.opens:
            image = f"{self.public_url}/o/{seal('open')}.gif"
            marks += f'<img src="{image}" alt="" width="1" height="1" style="border:0;display:block">'
        ends = [end.start() for end in _BODY_END.finditer(html)]
        place = ends[-1] if ends else len(html)
        return f"{html[:place]}{marks}{html[place:]}"

    def _form_url(self, key: str, job: RenderJob, seal: Seal) -> str:
        address = f"{self.public_url}/f/{key}"
        return f"{address}?t={seal.click(FORM_PLACE)}" if job.tracked else address

    def _answer_url(self, question: str, answer: str, seal: Seal) -> str:
        """Where an answer is given; also in an untracked letter, since the reader means to tell us."""
        place = 0 if self._answers is None else self._answers.get((question, answer))
        if place is None:
            raise ValueError(f"program.yaml has no question '{question}' with an answer '{answer}'")
        return f"{self.public_url}/q/{seal('question', place)}"

    def _links(self, compiled: Compiled, job: RenderJob, seal: Seal) -> Callable[[str], str]:
        if not job.tracked:
            return str
        door, places = f"{self.public_url}/c/", compiled.places
        return lambda url: door + seal.click(places[url])

    def _written(
        self, compiled: Compiled, names: Mapping[str, Any], language: str, moment: Moment,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> Written:  # fmt: skip
        direction = "rtl" if locale(language).text_direction == "rtl" else "ltr"
        known = {**compiled.given, **self._house, "language": language, "dir": direction, **names}
        before = MOMENT.set(moment)
        try:
            context = compiled.template.new_context(known)
            written = gathered(compiled.template.root_render_func(context))
            html = self.finished(written, direction)
            if moment.watch is not None and not Counter(MARK.findall(written)) <= Counter(MARK.findall(html)):
                raise Unwatched("MJML has used up what was printed")
            little = outline(written) if is_mjml(written) else html
            moment.isolate = direction
            subject = _block(context, "subject")
            moment.isolate = ""
            made = Written(subject, html, "", list(compiled.places), compiled.name, language, direction)
            subject_line(subject, direction)
            text = tidy(unescape(_block(context, "text")))
            if tags:
                same, text = little is html, tag_text(text, tags, self.public_url)
                html = tag_html(html, tags, self.public_url)
                little = html if same else tag_html(little, tags, self.public_url)
            return replace(made, html=html, text=text if text.strip() else plain_text(little))
        except Exception as problem:
            raise placed(problem, compiled.name) from None
        finally:
            MOMENT.reset(before)


def preferences_url(public_url: str, keys: Keys, touch: int) -> str:
    """Where the lead of a message chooses what it gets."""
    return f"{public_url}/p/{keys.seal('preferences', touch)}"


def nearer(lead: str, message: str) -> Locale:
    """The lead's own country's way to write dates, if it speaks the message's language."""
    same = lead.replace("_", "-").split("-")[0].casefold() == message.split("-")[0].casefold()
    return locale(lead if same else message)


def subject_line(printed: str, direction: str) -> str:
    """A subject as readers see it, from what its block printed. Raises ValueError if it is empty."""
    said = led(unescape(printed).strip(" \t\r\n"), direction)
    if not said:
        raise ValueError("the subject is empty; write {% block subject %}")
    return said


def _block(context: Context, name: str) -> str:
    """A block as it is printed; empty if there is none."""
    return gathered(context.blocks[name][0](context)) if name in context.blocks else ""


def gathered(parts: Iterable[str], most: int = LARGEST) -> str:
    """What a template prints, of `most` bytes at most: what would go over is not kept. Raises TooMuch."""
    size, kept = 0, []
    for part in parts:
        size += len(part)
        if size > most:
            break
        kept.append(part)
    return _bounded("".join(kept), size, most)


def _bounded(made: str, size: int = 0, most: int = LARGEST) -> str:
    if size > most or len(made.encode("utf-8", "replace")) > most:
        raise TooMuch(f"the message is longer than {most} bytes")
    return made


def placed(problem: Exception, variant: str) -> TemplateFault:
    """`problem` at the innermost line of a template that led to it."""
    file, line = variant, 1
    trace = problem.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            file, line = template.name or variant, template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    said = _SAID.get(type(problem)) or str(problem) or type(problem).__name__
    return TemplateFault(file, line, said, isinstance(problem, (TooMuch, *_SAID)))
