"""A variant and a lead become subject, HTML and text, with the links of this one touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from html import escape, unescape
from typing import Any

from babel import Locale
from jinja2.runtime import Context

from nurture.mail.faults import TemplateFault
from nurture.mail.sandbox import MOMENT, Moment, for_templates
from nurture.mail.templates import Compiled, Templates, locale
from nurture.mail.text import plain_text, tidy
from nurture.tokens import Keys

#: Bytes of a message's HTML, and of its text.
LARGEST = 1_048_576
#: The place sealed into the click token of a form's address; no static link has it.
FORM_PLACE = 0xFFFF
NOTICE = "_shared/notice.j2"


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


@dataclass(frozen=True)
class Rendered:
    """What a message says. `links`: the static links of `variant`, by the place that their tokens carry."""

    subject: str
    html: str
    text: str
    links: list[str] = field(default_factory=list)
    variant: str = ""
    language: str = ""


class Renderer:
    """Renders the messages of one version; the links in them begin with `public_url`."""

    def __init__(self, templates: Templates, brand: Brand, keys: Keys, public_url: str) -> None:
        self.templates = templates
        self.keys = keys
        self.public_url = public_url.rstrip("/")
        self._house = {
            "brand": brand.name,
            "sender": {"name": brand.sender_name, "address": brand.sender_address},
            "address": brand.address,
        }

    def render(self, job: RenderJob) -> Rendered:
        """The message of `job`; raises TemplateFault with file and line, for this one message."""
        variant = self.templates.variant(job.message, job.language, job.fallback)
        language = self.templates.language(variant, job.fallback)
        compiled = self.templates.compiled(variant)
        unsubscribe_url = f"{self.public_url}/u/{self.keys.seal('unsubscribe', job.touch_id)}"
        names = {
            "lead": dict(job.lead),
            "unsubscribe_url": unsubscribe_url,
            "offer": self._offer(job),
            "form_url": for_templates(lambda key: self._form_url(key, job)),
            "today": job.today,
        }
        near = _nearer(job.language, language)
        rendered = self._render(compiled, names, language, near, self._links(compiled, job))
        if not job.operational and escape(unsubscribe_url, quote=False) not in rendered.html:
            raise TemplateFault(variant, 1, "there is no unsubscribe link; print {{ unsubscribe_url }}")
        return rendered

    def notice(self, names: Mapping[str, Any], language: str, file: str = NOTICE) -> Rendered:
        """A notice of the house to sales, with `names`; its links are never tracked. Raises TemplateFault."""
        variant = self.templates.variant(file, language, language)
        spoken = self.templates.language(variant, language)
        return self._render(self.templates.compiled(variant), names, spoken, locale(spoken), str)

    def _offer(self, job: RenderJob) -> dict[str, Any] | None:
        if job.offer is None:
            return None
        return {**job.offer, "url": f"{self.public_url}/o/{self.keys.seal('offer', job.touch_id)}"}

    def _form_url(self, key: str, job: RenderJob) -> str:
        address = f"{self.public_url}/f/{key}"
        return f"{address}?t={self.keys.seal('click', job.touch_id, FORM_PLACE)}" if job.tracked else address

    def _links(self, compiled: Compiled, job: RenderJob) -> Callable[[str], str]:
        if not job.tracked:
            return str
        door, seal, places = f"{self.public_url}/c/", self.keys.seal, compiled.places
        return lambda url: door + seal("click", job.touch_id, places[url])

    def _render(
        self,
        compiled: Compiled,
        names: Mapping[str, Any],
        language: str,
        near: Locale,
        link: Callable[[str], str],
    ) -> Rendered:
        direction = "rtl" if locale(language).text_direction == "rtl" else "ltr"
        known = {**compiled.given, **self._house, "language": language, "dir": direction, **names}
        moment = MOMENT.set(Moment(near, link))
        try:
            context = compiled.template.new_context(known)
            html = _gathered(compiled.template.root_render_func(context))
            subject = _block(context, "subject").strip(" \t\r\n")
            text = tidy(_block(context, "text"))
            return Rendered(
                subject=_present(subject, "the subject is empty; write {% block subject %}"),
                html=html,
                text=text if text.strip() else plain_text(html),
                links=list(compiled.places),
                variant=compiled.name,
                language=language,
            )
        except Exception as problem:
            raise _placed(problem, compiled.name) from None
        finally:
            MOMENT.reset(moment)


def _nearer(lead: str, message: str) -> Locale:
    """The lead's own country's way to write dates, if it speaks the message's language."""
    same = lead.replace("_", "-").split("-")[0].casefold() == message.split("-")[0].casefold()
    return locale(lead if same else message)


def _block(context: Context, name: str) -> str:
    """A block as plain text; empty if there is none."""
    return unescape(_gathered(context.blocks[name][0](context))) if name in context.blocks else ""


def _gathered(parts: Iterable[str]) -> str:
    size, kept = 0, []
    for part in parts:
        size += len(part)
        if size > LARGEST:
            break
        kept.append(part)
    made = "".join(kept)
    if size > LARGEST or len(made.encode("utf-8", "replace")) > LARGEST:
        raise ValueError(f"the message is longer than {LARGEST} bytes")
    return made


def _present(text: str, otherwise: str) -> str:
    if not text:
        raise ValueError(otherwise)
    return text


def _placed(problem: Exception, variant: str) -> TemplateFault:
    """`problem` at the innermost line of a template that led to it."""
    file, line = variant, 1
    trace = problem.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            file, line = template.name or variant, template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    said = "a macro calls itself without end" if isinstance(problem, RecursionError) else str(problem)
    return TemplateFault(file, line, said or type(problem).__name__)
