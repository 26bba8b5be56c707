"""The rows of one model: the history's, those of lines that a cap takes, and those at which points run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nurture.backtest.history import WORD, Array, History, People, in_order
from nurture.backtest.model import Channel
from nurture.program.scoring import Cap


@dataclass
class Timeline:
    """Rows by lead and instant. `kind` 0: an event; n: what ran out after `spans[n - 1]`; None: all are events.

    `tables[channel][word]`: what the bits of a word are worth in a channel; None: nothing.
    """

    people: People
    first: Array
    at: Array
    words: list[Array]
    kind: Array | None
    spans: tuple[int, ...]
    tables: list[list[Array | None]]
    #: Rows that are not the last of their lead and instant; None: there are none.
    hidden: Array | None


def timeline(history: History, channels: Sequence[Channel], probes: Sequence[int] = ()) -> Timeline:
    """The rows of `channels` over a history; `probes`: instants at which each lead has a row of its own besides."""
    words, worth = list(history.words), [dict(channel.worth) for channel in channels]
    taken = 0
    for place, channel in enumerate(channels):
        for pattern, points, cap in channel.caps:
            over = _over(history, pattern, cap)
            if not len(over):
                continue
            if taken % WORD == 0:
                words.append(np.zeros(len(history.at), np.uint16))
            words[-1][over] |= np.uint16(1 << taken % WORD)
            worth[place][len(history.words) * WORD + taken] = -points
            taken += 1
    tables = [[_table(mine, number) for number in range(len(words))] for mine in worth]
    spans = tuple(sorted({channel.expires for channel in channels if channel.expires}))
    first, at, kind = history.first, history.at, None
    if spans or probes:
        extra = [_running_out(history, words, channels, tables, span) for span in spans]
        rows = np.concatenate([np.arange(len(at)), *extra])
        kind = np.repeat(np.arange(len(spans) + 1, dtype=np.uint8), [len(at), *map(len, extra)])
        shift = np.array([0, *spans])[kind]
        leads = len(history.people.ids)
        everybody = np.arange(leads, dtype=np.int32)
        lead = np.concatenate([history.lead[rows], *[everybody for _ in probes]])
        at = np.concatenate([at[rows] + shift, *[np.full(leads, probe) for probe in probes]])
        blank = np.zeros(leads * len(probes), np.uint16)
        order = in_order(lead, at)
        lead, at = lead[order], at[order]
        words = [np.concatenate([word[rows], blank])[order] for word in words]
        kind = np.concatenate([kind, blank.astype(np.uint8)])[order]
        first = np.searchsorted(lead, np.arange(leads + 1))
    same = at[1:] == at[:-1]
    same[first[1:-1] - 1] = False  # of two leads
    hidden = np.append(same, False) if same.any() else None
    return Timeline(history.people, first, at, words, kind if spans else None, spans, tables, hidden)


def _over(history: History, pattern: int, cap: Cap) -> Array:
    """The rows of a pattern that are over the cap: of their day, or of what the day lets count."""
    if cap.per_day is not None:
        rows, ranks = history.day_ranks(pattern)
        counts = ranks < cap.per_day
    else:
        rows = history.rows_of(pattern)
        counts = np.ones(len(rows), bool)
    if cap.in_total is not None:
        lead = history.lead[rows]
        so_far = np.cumsum(counts)
        begins = np.searchsorted(lead, lead)  # the first row of the same lead
        counts &= so_far - (so_far - counts)[begins] <= cap.in_total
    return rows[~counts]


def _table(worth: dict[int, float], word: int) -> Array | None:
    """What each of the 65,536 values of a word is worth."""
    mine = {number - word * WORD: points for number, points in worth.items() if number // WORD == word}
    if not mine:
        return None
    table = np.zeros(1)
    for bit in range(WORD):
        table = np.concatenate([table, table + mine.get(bit, 0.0)])
    return table


def _running_out(
    history: History, words: list[Array], channels: Sequence[Channel], tables: list[list[Array | None]], span: int
) -> Array:
    """The rows of which something runs out after `span`."""
    moves = np.zeros(len(history.at), bool)
    for channel, mine in zip(channels, tables, strict=True):
        if channel.expires == span:
            moves |= sum((table[word] for table, word in zip(mine, words, strict=True) if table is not None), 0.0) != 0
    return np.flatnonzero(moves)
