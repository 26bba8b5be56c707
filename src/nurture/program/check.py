"""`nurture check`: every problem of a program at once, each with its place and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nurture.language.source import Path, Problem, Source, nearest, suggest
from nurture.language.words import BUILT_IN
from nurture.mail import check as mail
from nurture.mail.templates import Templates
from nurture.program.check_conditions import OF_THE_HOUSE, RESERVED, Around, Known, Stands
from nurture.program.check_consents import check_confirmation
from nurture.program.check_crm import check_crm
from nurture.program.check_events import misspelled
from nurture.program.check_forms import check_forms
from nurture.program.check_groups import check_groups, levels_of
from nurture.program.check_letters import odd_variants, spoken, unused, wordless
from nurture.program.check_names import Names
from nurture.program.check_steps import SequenceCheck, equal_hours, mail_fields
from nurture.program.check_stories import is_sequence, read_story
from nurture.program.check_topics import check_topics
from nurture.program.check_values import country_fault, statuses_of
from nurture.program.check_ways import check_endpoints, check_notice, check_ways, texts_of
from nurture.program.check_windows import check_windows
from nurture.program.load import HOUSE_FILES, load
from nurture.program.questions import answers_of
from nurture.program.sequence import Sequence

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,59}")
_EXTENDS = re.compile(r"""{%-?\s*extends\s+["']([^"']+)["']""")
_NOTICE = "_shared/notice.j2"


def check(files: Mapping[str, str]) -> list[Problem]:
    """Everything wrong with the program that `files` (name to text) hold, in the order of files and lines."""
    loaded = load(files)
    sources = loaded.sources
    house = {name: sources.get(name) or Source(name) for name in HOUSE_FILES}
    sequences = {name.split("/")[0]: source for name, source in sources.items() if name not in HOUSE_FILES}
    known = _known(files, house, sequences)
    problems = [*loaded.problems, *_strange_files(files, sequences)]
    _check_program(house["program.yaml"], known)
    check_endpoints(house["program.yaml"], known.fields)
    check_crm(house["program.yaml"], known.fields, list(_mapping(house["lifecycle.yaml"], "lost") or {}))
    _check_lifecycle(house["lifecycle.yaml"], known)
    _check_scoring(house["scoring.yaml"], known)
    _twice(house["offers.yaml"], ("offers",), "key")
    _languages(house)
    check_windows(house["program.yaml"], sequences.values())
    check_topics(house["program.yaml"], sequences.values())
    checks = _checks(files, loaded.sources, known)
    misspelled({**house, **sequences, **checks})
    for slug, source in sequences.items():
        one = SequenceCheck(slug, source, known)
        one.run()
        one.check_letters(_templates(files, slug))
        check_ways(slug, source, house["program.yaml"], known)
        problems += _letter_files(files, slug, one, checks)
    problems += [*_notice(files, known), *check_notice(house["program.yaml"], known)]
    problems += check_confirmation(house["program.yaml"], known)
    problems += odd_variants(_in(files, "_shared"), [])
    everything = [*house.values(), *sequences.values(), *checks.values()]
    problems += [problem for source in everything for problem in source.problems]
    return _once([_pointed(problem, files) for problem in set(problems)], files)


def _checks(files: Mapping[str, str], sources: Mapping[str, Source], known: Known) -> dict[str, Source]:
    """Every file among checks, read: checks, and the edited sequences that they publish."""
    names, found = Names.of(sources), {}
    for name in files:
        if "/checks/" not in name or not name.endswith(".yaml"):
            continue
        source, _ = read_story(name, files, names)
        if is_sequence(source):
            source.read(Sequence)
            slug = name.split("/")[0]
            one = SequenceCheck(slug, source, known)
            letters = [named for _, named, kind in one.letters() if kind != "offer"]
            edited = replace(known, letters={**known.letters, slug: [*known.letters.get(slug, ()), *letters]})
            one = SequenceCheck(slug, source, edited)
            one.run()
            one.check_letters(_templates(files, slug))
        found[name] = source
    return found


def _letter_files(
    files: Mapping[str, str], slug: str, one: SequenceCheck, checks: Mapping[str, Source]
) -> Iterator[Problem]:
    """Letters that nothing reads, and languages that the layout lacks."""
    templates = _templates(files, slug)
    edited = [it for name, it in checks.items() if name.startswith(f"{slug}/") and is_sequence(it)]
    sequences = [one, *(SequenceCheck(slug, source, one.known) for source in edited)]
    letters = [sequence.file_of(named, kind) for sequence in sequences for _, named, kind in sequence.written()]
    letters += [file for sequence in sequences for _, file, _ in texts_of(slug, sequence.source)]
    yield from odd_variants(_in(files, slug), letters)
    yield from wordless(templates, letters, one.known.language)
    if not one.source.problems and all(templates.variants(letter) for letter in letters):
        yield from unused(templates, slug, letters)


def _known(files: Mapping[str, str], house: Mapping[str, Source], sequences: Mapping[str, Source]) -> Known:
    program = house["program.yaml"]
    fields = _mapping(program, "fields")
    milestones = _mapping(house["lifecycle.yaml"], "milestones")
    offers = house["offers.yaml"].at(("offers",)) or []
    language = program.at(("language",)) or "en"
    declared = None if fields is None else {name: str(kind) for name, kind in fields.items()}
    known = Known(
        files=files,
        fields=None if declared is None else {**dict.fromkeys(BUILT_IN, "text"), **declared},
        milestones=None if milestones is None else {name: _by_step(rule) for name, rule in milestones.items()},
        offers=[piece for piece in offers if isinstance(piece, dict)] if isinstance(offers, list) else None,
        audiences=None if (named := _mapping(program, "audiences")) is None else list(named),
        forms=None if (named := _mapping(program, "forms")) is None else list(named),
        language=str(language),
        questions=None if (named := _mapping(program, "questions")) is None else answers_of(named),
        statuses=statuses_of(house["lifecycle.yaml"]),
        levels=levels_of(house["scoring.yaml"], house["lifecycle.yaml"]),
    )
    letters = {
        slug: [
            *(name for _, name, kind in SequenceCheck(slug, source, known).letters() if kind != "offer"),
            *(file.removeprefix(f"{slug}/") for _, file, _ in texts_of(slug, source)),
        ]
        for slug, source in sequences.items()
    }
    return replace(known, letters=letters)


def _mapping(source: Source, key: str) -> dict[str, Any] | None:
    """What stands under `key`: {} where it is left away, None where it cannot be read."""
    value = source.at((key,))
    if value is None and source.value is not None:
        return {}
    return value if isinstance(value, dict) else None


def _by_step(rule: Any) -> bool:
    return isinstance(rule, dict) and rule.get("when") == "by_step"


def _strange_files(files: Mapping[str, str], sequences: Mapping[str, Source]) -> Iterator[Problem]:
    """Folders without a sequence, and files at the top that nothing reads."""
    folders = sorted({name.split("/")[0] for name in files if "/" in name} - {"_shared"})
    for slug in folders:
        if slug not in sequences:
            own = [name.removeprefix(f"{slug}/") for name in files if name.rpartition("/")[0] == slug]
            near = nearest("sequence.yaml", own)
            remedy = f"is '{slug}/{near}' meant?" if near else "write it, or remove the folder"
            yield Problem(f"{slug}/sequence.yaml", 1, 1, "the file is missing", remedy)
        elif not _SLUG.fullmatch(slug):
            what = f"the folder '{slug}' cannot name a segment"
            yield Problem(f"{slug}/sequence.yaml", 1, 1, what, "use small letters, digits and dashes")
    for name in files:
        if "/" not in name and name not in HOUSE_FILES:
            yield Problem(name, 1, 1, "nothing reads this file", suggest(name, HOUSE_FILES))


def _check_program(source: Source, known: Known) -> None:
    for name in _mapping(source, "fields") or {}:
        if name in OF_THE_HOUSE or name == "tags":
            source.complain(("fields", name), f"every lead has a '{name}'", "remove it here", at_key=True)
        elif name in RESERVED:
            what = f"'{name}' is a word of conditions, and no field can be called so"
            source.complain(("fields", name), what, "choose another name", at_key=True)
    check_forms(source, known)
    _twice(source, ("sales",), "email")
    _country(source, ("country",))
    team = source.at(("sales",))
    for index, person in enumerate(team if isinstance(team, list) else []):
        at: Path = ("sales", index)
        equal_hours(source, (*at, "hours"), 'hours: "00:00-24:00" for the whole day')
        _country(source, (*at, "country"))
        Around(source, known, "house").look((*at, "takes"))
        theirs = person.get("countries") if isinstance(person, dict) else None
        for number in range(len(theirs) if isinstance(theirs, list) else 0):
            _country(source, (*at, "countries", number))


def _country(source: Source, path: Path) -> None:
    fault = country_fault(source.at(path))
    if fault is not None and len(str(source.at(path))) == 2:  # other lengths were noted when it was read
        source.complain(path, *fault)


def _check_lifecycle(source: Source, known: Known) -> None:
    Around(source, known, "house").look(("lead", "when"))
    Around(source, known, "house").look(("mql", "when"))
    for level in known.levels["mql_level"] or ():
        Around(source, known, "mql").look(("mql", "levels", level))
    for name in _mapping(source, "milestones") or {}:
        Around(source, known, "milestone").look(("milestones", name, "when"))
    rules = source.at(("gate",))
    for index in range(len(rules) if isinstance(rules, list) else 0):
        Around(source, known, "house").look(("gate", index, "refuse"))
    bound, again = source.at(("mql", "when", "score", "at_least")), source.at(("mql", "rearm_below"))
    if isinstance(bound, int | float) and isinstance(again, int | float) and again > bound:
        what = f"an MQL at {bound} would be armed again while its score is still {bound}"
        source.complain(("mql", "rearm_below"), what, f"write a number up to {bound}")


def _check_scoring(source: Source, known: Known) -> None:
    parts: list[tuple[str, Stands, str]] = [
        ("engagement", "house", "rule"), ("fit", "fit", "rule"),
        ("awareness", "level", "level"), ("buying_stage", "level", "stage"),
    ]  # fmt: skip
    for part, stands, name in parts:
        rules = source.at((part,))
        for index in range(len(rules) if isinstance(rules, list) else 0):
            Around(source, known, stands).look((part, index, "when"))
        _twice(source, (part,), name)
    check_groups(source)


def _twice(source: Source, path: Path, key: str) -> None:
    """Note values of `key` that stand twice in the list at `path`."""
    seen: dict[Any, int] = {}
    listed = source.at(path)
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        value = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(value, str):
            continue
        at, same = (*path, index, key), value.casefold() if key == "email" else value
        if same in seen:
            source.complain(at, f"'{value}' stands on line {seen[same]} already", "say it once")
        else:
            seen[same] = source.places[at][0]


def _languages(house: Mapping[str, Source]) -> None:
    program, offers = house["program.yaml"], house["offers.yaml"]
    places: list[tuple[Source, Path]] = [(program, ("language",))]
    for source, part in ((program, "sales"), (offers, "offers")):
        listed = source.at((part,))
        places += [(source, (part, i, "language")) for i in range(len(listed) if isinstance(listed, list) else 0)]
    places += [(program, ("forms", key, "language")) for key in _mapping(program, "forms") or {}]
    for source, path in places:
        tag = source.at(path)
        if isinstance(tag, str) and not spoken(tag):
            source.complain(path, f"'{tag}' is not a language", "write a tag such as en, ar or pt-BR")


def _templates(files: Mapping[str, str], slug: str) -> Templates:
    """The letters that a version of this segment is made of."""
    return _in(files, slug, "_shared")


def _in(files: Mapping[str, str], *folders: str) -> Templates:
    return Templates({name: text for name, text in files.items() if name.split("/")[0] in folders})


def _notice(files: Mapping[str, str], known: Known) -> list[Problem]:
    """What sales receives is a letter too."""
    if _NOTICE not in files:
        return [Problem(_NOTICE, 1, 1, "the file is missing", "write what sales receives; 'nurture init' makes one")]
    if known.fields is None or not known.typed:
        return []
    return mail.problems(
        _in(files, "_shared"), _NOTICE, mail_fields(known.fields), kind="notice", language=known.language
    )


def _pointed(problem: Problem, files: Mapping[str, str]) -> Problem:
    """Jinja2 knows lines only: point at the word that the problem names, if its line has it."""
    what, _, remedy = problem.problem.partition("; ")
    problem = replace(problem, problem=what, remedy=remedy or problem.remedy)
    lines = files.get(problem.file, "").splitlines()
    named = re.search(r"'([^']+)'", problem.problem)
    if not problem.file.endswith(".j2") or problem.column != 1 or not named or problem.line > len(lines):
        return problem
    found = re.search(rf"(?<!\w){re.escape(named[1])}(?!\w)", lines[problem.line - 1])
    return replace(problem, column=found.start() + 1) if found else problem


def _once(problems: Iterable[Problem], files: Mapping[str, str]) -> list[Problem]:
    """What is wrong with several letters of one layout is said once, of the layout."""
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        layout = _EXTENDS.search(files.get(problem.file, "")) if problem.line == problem.column == 1 else None
        alike.setdefault((layout[1] if layout else problem.file, problem.problem, problem.remedy), []).append(problem)
    told = []
    for (file, what, remedy), group in alike.items():
        whole = len({problem.file for problem in group}) > 1
        often = f"{what}, in each of the {len(group)} letters that extend it"
        told += [Problem(file, 1, 1, often, remedy)] if whole else group
    return sorted(set(told))


__all__ = ["check"]
