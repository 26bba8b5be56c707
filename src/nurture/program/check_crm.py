"""What is wrong with `crm:` of program.yaml: fields of nobody, of both sides, or without a name over there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nurture.channels.places import unfit
from nurture.language.problems import suggest
from nurture.language.source import Source
from nurture.language.words import BUILT_IN
from nurture.program.crm import OURS_ALONE, TOLD, USUAL
from nurture.program.lifecycle import LOST, STAGES

_AT = ("crm",)


def check_crm(source: Source, fields: Iterable[str] | None, lost: Sequence[str] | None = None) -> None:
    """Note everything about it. `fields`: those of a lead, if they can be read; `lost`: the reasons for lost deals."""
    crm = source.at(_AT)
    if not isinstance(crm, dict) or crm.get("kind") not in USUAL:
        return
    _check_url(source, crm)
    sides = {side: _listed(crm, side) for side in ("nurture", "crm")}
    known = list(dict.fromkeys((*BUILT_IN, *(fields or ()), *TOLD)))
    for side, names in sides.items():
        if fields is not None:
            _check_side(source, side, names, known)
    for index, name in enumerate(sides["crm"]):
        if name in sides["nurture"]:
            place = (*_AT, "owns", "crm", index)
            what = f"'{name}' belongs to both sides, so neither could be believed"
            source.complain(place, what, "leave it out of owns.crm or owns.nurture")
    _check_names(source, crm, [*sides["nurture"], *sides["crm"]], known)
    for word in _mapping(crm, "stages"):
        if word not in STAGES:
            source.complain((*_AT, "stages", word), f"'{word}' is no stage", suggest(word, STAGES), at_key=True)
    _check_reasons(source, crm, lost or list(LOST))


def _check_url(source: Source, crm: dict[str, Any]) -> None:
    url = crm.get("url")
    if url is None and crm["kind"] != "hubspot":
        source.complain((*_AT, "kind"), "where it is reached is not said", "write url: https://…")
    if isinstance(url, str) and url.startswith(("http:", "https:")) and (reason := unfit(url)) is not None:
        source.complain((*_AT, "url"), reason, "write https://HOST/…")


def _check_side(source: Source, side: str, names: Sequence[str], known: Sequence[str]) -> None:
    for index, name in enumerate(names):
        place = (*_AT, "owns", side, index)
        if side == "crm" and name in OURS_ALONE:
            remedy = "leave it out: what sales says of a lead comes as answers to its hand-off"
            source.complain(place, f"'{name}' is never heard of a CRM", remedy)
        elif name == "email":
            source.complain(place, "the address is told of every lead", "leave it out")
        elif name not in known:
            may = [one for one in known if one != "email" and (side == "nurture" or one not in OURS_ALONE)]
            source.complain(place, f"no lead has a field '{name}'", suggest(name, may))


def _check_names(source: Source, crm: dict[str, Any], owned: Sequence[str], known: Sequence[str]) -> None:
    """Every field that is exchanged has one name over there, and each name means one field."""
    named = {their: ours for their, ours in _mapping(crm, "fields").items() if isinstance(ours, str)}
    for their, ours in named.items():
        if ours not in owned:
            what = f"'{ours}' belongs to nobody, so it would be neither told nor heard"
            source.complain((*_AT, "fields", their), what, "name it under owns.nurture or owns.crm")
        if list(named.values()).index(ours) < list(named).index(their):
            source.complain((*_AT, "fields", their), f"'{ours}' has two names over there", "keep one of them")
    usual = USUAL[crm["kind"]]
    for side in ("nurture", "crm"):
        for index, ours in enumerate(_listed(crm, side)):
            place = (*_AT, "owns", side, index)
            if ours in named.values() or ours not in known or crm["kind"] == "webhook":
                continue
            if ours not in usual:
                what = f"{crm['kind']} has no usual name for '{ours}'"
                source.complain(place, what, f"write fields: {{THEIR_NAME: {ours}}}")
            elif usual[ours] in named:
                what = f"'{usual[ours]}' is what they call '{ours}', and 'fields' gives it to '{named[usual[ours]]}'"
                source.complain((*_AT, "fields", usual[ours]), what, f"give '{ours}' another name", at_key=True)


def _check_reasons(source: Source, crm: dict[str, Any], lost: Sequence[str]) -> None:
    for word, answer in _mapping(crm, "answers").items():
        said = answer.get("lost") if isinstance(answer, dict) else None
        if isinstance(said, str) and said not in lost:
            source.complain((*_AT, "answers", word, "lost"), f"'{said}' is no reason of 'lost:'", suggest(said, lost))
    deals = crm.get("deals")
    if not isinstance(deals, dict):
        return
    for their, said in _mapping(deals, "reasons").items():
        if isinstance(said, str) and said not in lost:
            place = (*_AT, "deals", "reasons", their)
            source.complain(place, f"'{said}' is no reason of 'lost:'", suggest(said, lost))
    otherwise = deals.get("otherwise", "no_decision")
    if isinstance(otherwise, str) and otherwise not in lost:
        at = (*_AT, "deals", "otherwise") if "otherwise" in deals else (*_AT, "deals")
        source.complain(at, f"'{otherwise}' is no reason of 'lost:'", f"write otherwise: {lost[0]}")


def _listed(crm: dict[str, Any], side: str) -> list[str]:
    """The fields of a side as written; none where nothing is."""
    owns = crm.get("owns")
    named = owns.get(side) if isinstance(owns, dict) else None
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
