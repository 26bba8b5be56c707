"""What is wrong with text messages, webhooks and tasks: their templates, their names, where they lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nurture.channels.places import unfit
from nurture.folding import canonical_email
from nurture.language.problems import Problem, suggest
from nurture.language.source import Path, Source
from nurture.mail import check_plain as plain
from nurture.mail.check_plain import Wanted
from nurture.mail.faults import TemplateFault
from nurture.mail.render import Brand, Renderer
from nurture.mail.templates import Templates
from nurture.mail.words import ENGLISH
from nurture.program.check_conditions import Known
from nurture.program.check_letters import surely_known
from nurture.program.check_steps import mail_fields
from nurture.program.check_values import declare
from nurture.program.endpoints import Texts
from nurture.tokens import Keys

TASK_NOTICE = "_shared/task.j2"
_TASK = {
    "id": 1, "text": "Call them", "sequence": "sample", "step": "ask", "asked": "today", "title": "To do",
    "yours": "Yours", "asked_by": "Asked today",
}  # fmt: skip
#: Besides its fields, what a webhook may tell of a lead.
OF_A_LEAD = ("score", "fit")


def texts_of(slug: str, source: Source) -> Iterator[tuple[Path, str, Wanted]]:
    """The place, the file and the kind of every text message that a step names."""
    for index, step in enumerate(_steps(source)):
        named = step.get("sms")
        if isinstance(named, str):
            yield ("steps", index, "sms"), f"{slug}/{named}", Wanted(marketing=step.get("kind") != "operational")


def check_endpoints(source: Source, fields: Iterable[str] | None) -> None:
    """Note audiences and webhooks of program.yaml that lead nowhere, and fields and chat places that there are not."""
    places, team = source.at(("chat",)), source.at(("sales",))
    for index, person in enumerate(team if isinstance(team, list) else []):
        chat = person.get("chat") if isinstance(person, dict) else None
        if isinstance(chat, str) and chat not in (places if isinstance(places, dict) else ()):
            remedy = declare(chat, places if isinstance(places, dict) else (), "chat: in program.yaml")
            source.complain(("sales", index, "chat"), f"there is no chat place '{chat}'", remedy)
    for part in ("audiences", "webhooks"):
        named = source.at((part,))
        for name, endpoint in named.items() if isinstance(named, dict) else ():
            url = endpoint.get("url") if isinstance(endpoint, dict) else None
            if isinstance(url, str) and url.startswith(("http:", "https:")) and (reason := unfit(url)) is not None:
                source.complain((part, name, "url"), reason, "write https://HOST/…")
            told = endpoint.get("fields") if isinstance(endpoint, dict) else None
            known = None if fields is None else [*fields, *OF_A_LEAD]
            for index, field in enumerate(told if isinstance(told, list) else []):
                if known is not None and field not in known:
                    place = (part, name, "fields", index)
                    source.complain(place, f"no lead has a field '{field}'", suggest(str(field), known))


def check_ways(slug: str, source: Source, program: Source, known: Known) -> None:
    """Note everything about the text messages, webhooks and tasks of a sequence."""
    fields = mail_fields(known.fields) if known.fields is not None and known.typed else None
    own = {name: text for name, text in known.files.items() if name.split("/")[0] in (slug, "_shared")}
    templates = Templates(own)
    sure = surely_known(source.at(("segment",)))
    for path, file, wanted in texts_of(slug, source):
        if not templates.variants(file):
            near = [name.removeprefix(f"{slug}/") for name in templates.files if name.startswith(f"{slug}/")]
            named = file.removeprefix(f"{slug}/")
            source.complain(
                path, f"there is no text '{named}' in {slug}/", suggest(named, near) if near else "write it"
            )
            continue
        speaks = file in templates.files or any(
            templates.language(one, "") == known.language for one in templates.variants(file)
        )
        if not speaks:
            what = f"'{file.removeprefix(f'{slug}/')}' is not written in the program's language, {known.language}"
            source.complain(path, what, "write it without a language in its name")
        if fields is not None:
            whole = Wanted(wanted.marketing, _longest(program))
            source.problems += plain.problems(
                own, file, fields, brand=_brand(program), language=known.language, wanted=whole, known=sure
            )
    for index, step in enumerate(_steps(source)):
        _webhook(source, program, ("steps", index), step)
        _task(source, program, ("steps", index), step, fields, sure)


def _webhook(source: Source, program: Source, at: Path, step: Mapping[str, Any]) -> None:
    name, named = step.get("webhook"), program.at(("webhooks",))
    if named is None and program.value is not None:
        named = {}
    if isinstance(name, str) and isinstance(named, dict) and name not in named:
        remedy = declare(name, list(named), "webhooks: in program.yaml")
        source.complain((*at, "webhook"), f"there is no webhook '{name}'", remedy)


def _task(
    source: Source, program: Source, at: Path, step: Mapping[str, Any], fields: Mapping[str, str] | None,
    sure: frozenset[str],
) -> None:  # fmt: skip
    asked = step.get("task")
    if not isinstance(asked, dict):
        return
    whom, team = asked.get("for"), program.at(("sales",))
    people = [str(one.get("email")) for one in team if isinstance(one, dict)] if isinstance(team, list) else []
    if isinstance(whom, str) and "@" in whom and people and _key(whom) not in map(_key, people):
        remedy = declare(whom, people, "sales: in program.yaml")
        source.complain((*at, "task", "for"), f"'{whom}' is not of the sales team", remedy)
    text = asked.get("text")
    if not isinstance(text, str) or not text.strip() or fields is None:
        return
    language = str(program.at(("language",)) or "en")
    found = plain.problems(
        {"text.j2": text}, "text.j2", fields, brand=_brand(program), language=language, wanted=Wanted(), known=sure
    )
    for problem in found[:1]:
        source.complain((*at, "task", "text"), problem.problem, problem.remedy)


def check_notice(program: Source, known: Known) -> list[Problem]:
    """What is wrong with the program's own notice of tasks, if it has one."""
    if known.fields is None or not known.typed:
        return []
    shared = Templates({name: text for name, text in known.files.items() if name.startswith("_shared/")})
    fields = mail_fields(known.fields)
    renderer = Renderer(shared, _brand(program), Keys(("sample " * 8,)), "https://sample.example")
    leads = (dict.fromkeys(fields), plain.full_lead(fields))
    found = []
    for variant in shared.variants(TASK_NOTICE):
        language = shared.language(variant, known.language)
        for lead, due in zip(leads, (None, "today"), strict=True):
            names = {
                "task": {**_TASK, "due": due},
                "lead": lead,
                "who": "Sam Sample",
                "owner": {"name": "Sam", "email": "sam@sample.example"},
                "say": ENGLISH,
            }
            try:
                renderer.notice(names, language, variant)
            except TemplateFault as fault:
                found.append(Problem(fault.file, fault.line, 1, fault.problem, "mend this line"))
                break
    return found


def _steps(source: Source) -> list[dict[str, Any]]:
    written = source.at(("steps",))
    return [step if isinstance(step, dict) else {} for step in (written if isinstance(written, list) else [])]


def _brand(program: Source) -> Brand:
    texts = (program.at(path) for path in (("name",), ("sender", "name"), ("sender", "address"), ("address",)))
    return Brand(*(str(text or "Sample") for text in texts))


def _longest(program: Source) -> int:
    written = program.at(("sms", "longest"))
    return written if isinstance(written, int) else Texts().longest


def _key(address: str) -> str:
    try:
        return canonical_email(address)
    except ValueError:
        return address
