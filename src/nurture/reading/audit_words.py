"""The findings of the audit in sentences; what too few leads tell is said to be so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nurture.engine.statistics import Count, difference, wilson
from nurture.program.lifecycle import REJECTIONS
from nurture.reading.counts import Row

#: Of fewer leads nothing is said.
FEW = 20
TOO_FEW = "too few to say"
#: So many names in one sentence.
_NAMED = 6


def _rated(row: Row) -> float:
    return -float(row["rate"])


def _answered(rows: Iterable[Row]) -> Count:
    """How many hand-offs sales has answered, and how many of them as premature."""
    rows = list(rows)
    early = sum(row["premature"] for row in rows)
    others = sum(row["accepted"] + sum(row[word.replace("_", " ")] for word in REJECTIONS) for row in rows)
    return Count(others, early)


def said_of_criteria(rows: Sequence[Row]) -> list[str]:
    """Whose leads come back as premature, or become SQLs, otherwise than those of the others."""
    said = []
    for row in rows:
        others = [other for other in rows if other is not row]
        one, rest = _answered([row]), _answered(others)
        mine = Count(row["named"], row["sql"])
        theirs = Count(sum(other["named"] for other in others), sum(other["sql"] for other in others))
        if min(one.exposed, rest.exposed) >= FEW and difference(one, rest)[0] > 0:
            said.append(
                f"{row['criterion']} names too early: of {one.exposed:,} that sales answered {share(one)} came back "
                f"as premature, of the others {percent(rest.rate)}."
            )
        if min(mine.exposed, theirs.exposed) >= FEW:
            low, high = difference(mine, theirs)
            if high < 0 or low > 0:
                often = "less often" if high < 0 else "more often"
                said.append(
                    f"{row['criterion']} leads to SQLs {often} than the others: {share(mine)} against "
                    f"{percent(theirs.rate)}."
                )
    few = [row["criterion"] for row in rows if row["named"] < FEW]
    if few:
        said.append(f"Too few to say anything (below {FEW}): {', '.join(few)}.")
    if not rows:
        return ["Nobody was handed over."]
    if not said:
        said.append("No criterion does otherwise than the others, as far as these numbers can tell.")
    return said


def said_of_mqls(rows: list[Row]) -> list[str]:
    named = Count(sum(row["named"] for row in rows), sum(row["sql"] for row in rows))
    if not named.exposed:
        return ["Nobody was named an MQL."]
    never = 1 - named.rate
    every = f"Of {named.exposed:,} leads named MQL {share(named)} became SQLs; {percent(never)} have not."
    return [every, *(said_of_criteria(rows) if len(rows) > 1 else [])]


def said_of_gate(rows: list[Row]) -> list[str]:
    """Whom the gate kept from sales, and who came to buy all the same."""
    said = [
        f"{row['criterion']} kept {row['named']:,} from sales, of whom {share(Count(row['named'], row['sql']))} became "
        f"SQLs all the same{': ' + TOO_FEW if row['few'] else ''}."
        for row in rows
    ]
    return said or ["Nobody was refused."]


def said_of_channels(channels: Sequence[Row], leads: int, customers: int) -> list[str]:
    said = []
    for word in ("better", "worse"):
        rows = sorted((row for row in channels if row["against the others"] == word), key=_rated)
        named = [f"{row['channel']} ({percent(row['rate'])} of {row['leads']:,})" for row in rows]
        if named:
            how = "more" if word == "better" else "less"
            said.append(f"Become customers {how} often than the others: {', '.join(named)}.")
    for row in channels:
        if row["largest deal"] > 0.5 and row["customer"] > 1:
            said.append(f"One deal is {percent(row['largest deal'])} of the value of {row['channel']}.")
    whole = Count(leads, customers)
    return [f"Of {whole.exposed:,} leads {share(whole)} became customers.", *said] if whole.exposed else []


def said_of_rules(rows: list[Row]) -> list[str]:
    said = []
    for row in rows:
        if row["contradicts"]:
            gives = "gives points" if row["points"] > 0 else "takes points"
            often = "less" if row["points"] > 0 else "more"
            said.append(
                f"“{row['rule']}” {gives} ({row['points']:+g}), and its leads become SQLs {often} often: "
                f"{percent(row['rate'])} of {row['leads']:,} against {percent(row['rate without'])} of the others."
            )
    best = [row for row in rows if row["against the others"] == "better" and row["lift"]]
    if best:
        top = max(best, key=lambda row: row["lift"])
        said.append(
            f"“{top['rule']}” tells most: its leads become SQLs {top['lift']:.1f} times as often as the others "
            f"({percent(top['rate'])} against {percent(top['rate without'])})."
        )
    alike = [f"“{row['rule']}”" for row in rows if row["against the others"] == "alike" and row["points"]]
    if alike:
        said.append(f"Of these it cannot be told that they tell anything: {', '.join(alike)}.")
    unmet = [f"“{row['rule']}”" for row in rows if not row["leads"]]
    if unmet:
        more = f" and {len(unmet) - _NAMED:,} more" if len(unmet) > _NAMED else ""
        said.append(f"Counted for no lead: {', '.join(unmet[:_NAMED])}{more}.")
    return said


def said_of_scores(bands: list[Row]) -> list[str]:
    """The highest thresholds that would have kept nearly all SQLs, or four of five."""
    named, sql = sum(row["named"] for row in bands), sum(row["sql"] for row in bands)
    if not named:
        return ["No rule has named an MQL, so no threshold can be compared."]
    if sql < FEW:
        return [f"Only {sql:,} of {named:,} that a rule named became SQLs: {TOO_FEW} what another threshold would do."]
    said = []
    for least in (0.95, 0.8):
        fit = [row for row in bands if row["keeps"] >= least and row["fewer"] > 0]
        line = f"A score of {fit[-1]['from']} would have kept {percent(fit[-1]['keeps'])} of the SQLs with " \
               f"{percent(fit[-1]['fewer'])} fewer MQLs." if fit else ""  # fmt: skip
        said += [line] if line and line not in said else []
    return said or ["No higher threshold would have kept four fifths of the SQLs with fewer MQLs."]


def percent(part: float) -> str:
    """`12.3 %`."""
    return f"{part * 100:.1f} %"


def share(count: Count) -> str:
    """`48 (40.0 %, 31.7 % to 48.9 %)`, with Wilson's 95 % interval."""
    low, high = wilson(count)
    return f"{count.converted:,} ({percent(count.rate)}, {percent(low)} to {percent(high)})"
