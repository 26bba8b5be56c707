"""Accounts: which company a lead belongs to, and who of sales has it.

A lead's account is the domain of its address where that is a company's, else its company's name, folded; NULL where it
has neither. It is derived when the lead is settled, with the kind of each new mail domain, looked up once.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, case, func, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import domain_of, text_in, upsert
from nurture.engine.domains import COMPANY, kind_of
from nurture.engine.running import CLAIMED, Run
from nurture.engine.scoring import FRESH
from nurture.language.accounts import account_scores
from nurture.program.load import Segment
from nurture.records import Account, Event, Lead, MailDomain, Work
from nurture.records.types import CLAIM, NOW_AT
from nurture.worklist import work_for

#: Characters of a company's name that tell it from others; the key stands in an index.
_LONGEST = 200
#: What a company's name does not consist of alone.
_NO_LETTERS = string.digits + string.punctuation + string.whitespace + "–—…·•"
#: What people write who have no company, folded.
_NO_COMPANY = (
    "n/a", "n.a", "na", "none", "no company", "no", "nil", "null", "not applicable", "self", "self-employed",
    "self employed", "selfemployed", "freelance", "freelancer", "individual", "personal", "private", "privat",
    "student", "unknown", "test",
)  # fmt: skip
#: Kept for examples (RFC 2606, section 3): no company has them.
_EXAMPLES = ("example.com", "example.net", "example.org")
_DOMAIN = domain_of(col(Lead.email))
_KNOWN = select(1).where(col(MailDomain.domain) == _DOMAIN).correlate(Lead).exists()


def _new(among: ColumnElement[bool]) -> Any:
    return select(_DOMAIN).where(among, col(Lead.email).is_not(None), ~_KNOWN).distinct()


def _accounts(among: ColumnElement[bool]) -> Any:
    kind = select(col(MailDomain.kind)).where(col(MailDomain.domain) == _DOMAIN).correlate(Lead).scalar_subquery()
    named = func.substr(text_in(col(Lead.folded), "company"), 1, _LONGEST)
    core = func.rtrim(func.ltrim(named, _NO_LETTERS), _NO_LETTERS)
    theirs = and_(kind == COMPANY, _DOMAIN.not_in(_EXAMPLES))
    account = case((theirs, _DOMAIN), (core.not_in(["", *_NO_COMPANY]), named))
    return update(Lead).where(among, col(Lead.account).is_distinct_from(account)).values(account=account)


_OF_CLAIMED = col(Lead.id).in_(CLAIMED)
_NEW, _BELONG = _new(_OF_CLAIMED), _accounts(_OF_CLAIMED)
_OF_ALL = col(Lead.forgotten_at).is_(None)
_NEW_OF_ALL, _ALL_BELONG = _new(_OF_ALL), _accounts(_OF_ALL)


def derive(run: Run) -> None:
    """Look up the claimed leads' mail domains that are new, and say which account each lead belongs to."""
    _look_up(run, run(_NEW).scalars().all())
    run(_BELONG)


def derive_everybody(run: Run) -> None:
    """The same for everybody, once more for the domains that are known: the lists grow. After a publication."""
    found = run.link.execute(select(col(MailDomain.domain), col(MailDomain.kind)))
    changed = [{"the_domain": domain, "kind": kind_of(domain)} for domain, kind in found if kind_of(domain) != kind]
    if changed:
        known = update(MailDomain.__table__)  # type: ignore[attr-defined]
        run.link.execute(known.where(col(MailDomain.domain) == bindparam("the_domain")), changed)
    _look_up(run, run(_NEW_OF_ALL).scalars().all())
    run(_ALL_BELONG)


def _look_up(run: Run, domains: Collection[str]) -> None:
    rows = [{"domain": domain, "kind": kind_of(domain)} for domain in sorted(domains)]
    if rows:
        run.link.execute(upsert(run.link)(MailDomain).on_conflict_do_nothing(), rows)


def count(run: Run) -> None:
    """Note with each claimed lead what its account's score is now."""
    for statement in _COUNTED:
        run(statement)


def count_everybody(run: Run) -> None:
    """The same for everybody, where any rule asks for it. After a publication, before anybody is asked who matches."""
    if asked(run):
        for statement in _ALL_COUNTED:
            run(statement)


def tell_colleagues(run: Run, at_most: int) -> None:
    """Have those looked at of whose account another score is noted than it has now, as far as somebody of it is due.

    Before anything is claimed: whoever holds a lead waits for no colleague's place on the work list.
    """
    if asked(run):
        run(_COLLEAGUES, at_most=at_most)


def again(run: Run) -> None:
    """Whoever did something just now and has colleagues is looked at once more, when everybody can see what it did."""
    run(_AGAIN)


def asked(run: Run, versions: Sequence[Segment] | None = None) -> bool:
    """Whether anything that is published speaks of `account_score`. `versions`: those of `Live.versions`, if known."""
    if versions is None:
        versions = run.live.versions(run.link)
    files = [run.live.house.files, *(segment.files for segment in versions)]
    key = ("accounts asked", *sorted(segment.id for segment in versions))
    return run.plan(key, lambda: any("account_score" in text for each in files for text in each.values()))


def _counts(among: ColumnElement[bool]) -> list[Any]:
    """The statements that bring `account_score` of the leads `among` up to now."""
    theirs = select(col(Lead.account)).where(among)
    found = account_scores(lambda account: account.in_(theirs)).subquery().c
    new = and_(among, col(Lead.account) == found.account, col(Lead.account_score).is_distinct_from(found.score))
    alone = and_(among, col(Lead.account).is_(None), col(Lead.account_score).is_not(None))
    return [
        update(Lead).where(new).values(account_score=found.score),
        update(Lead).where(alone).values(account_score=None),
    ]


_COUNTED, _ALL_COUNTED = _counts(_OF_CLAIMED), _counts(_OF_ALL)


def _colleagues() -> Any:
    due = select(col(Work.lead_id)).where(col(Work.due_at) <= NOW_AT, col(Work.claim).is_(None))
    first = due.order_by(col(Work.due_at)).limit(bindparam("at_most", type_=Integer))
    theirs = select(col(Lead.account)).where(col(Lead.id).in_(first))
    now = account_scores(lambda account: account.in_(theirs)).subquery().c
    others = select(col(Lead.id)).where(
        col(Lead.account) == now.account, col(Lead.account_score).is_distinct_from(now.score),
        col(Lead.forgotten_at).is_(None),
    )  # fmt: skip
    return work_for(others.order_by(col(Lead.id)))


_COLLEAGUES = _colleagues()
_COLLEAGUE = aliased(Lead)
_HAS_ANY = select(1).where(
    col(Lead.id) == col(Work.lead_id), col(_COLLEAGUE.account) == col(Lead.account), col(_COLLEAGUE.id) != col(Lead.id)
)
_DID_SOMETHING = select(1).where(col(Event.lead_id) == col(Work.lead_id), FRESH)
_AGAIN = (
    update(Work)
    .where(col(Work.claim) == CLAIM, _DID_SOMETHING.correlate(Work).exists(), _HAS_ANY.correlate(Work).exists())
    .values(due_at=NOW_AT)
)


def owner_of(run: Run, keys: Collection[str]) -> dict[str, str]:
    """Who has each of these accounts, by its key: its owner, else who of the team has most of its leads.

    Those that nobody has are left out.
    """
    mine = select(col(Account.key), col(Account.owner)).where(col(Account.key).in_(keys))
    given = {key: owner for key, owner in run.link.execute(mine) if owner is not None}
    team = [person.email for person in run.live.house.program.sales]
    others = col(Lead.account).in_(set(keys) - given.keys()), col(Lead.owner).in_(team)
    theirs = select(col(Lead.account), col(Lead.owner)).where(*others).group_by(col(Lead.account), col(Lead.owner))
    for key, owner in run.link.execute(theirs.order_by(func.count().desc(), col(Lead.owner))):
        given.setdefault(str(key), str(owner))
    return given


def take(run: Run, key: str, owner: str, cause: str) -> None:
    """The account is `owner`'s from now on, because of `cause`; whoever has it already keeps it since then."""
    put = upsert(run.link)(Account).values(key=key, owner=owner, since=run.now, cause=cause)
    changes = {"owner": owner, "since": run.now, "cause": cause}
    changed = col(Account.owner).is_distinct_from(owner)
    run.link.execute(put.on_conflict_do_update(index_elements=["key"], set_=changes, where=changed))
