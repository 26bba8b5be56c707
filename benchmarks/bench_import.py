"""A file of leads into the database by `nurture import leads`: rows a second and memory, as files grow.

10,000, 100,000 and 1,000,000 people with nine columns each into an empty base, and the first file once more into the
last base, where it changes nothing. `bench_import.py small` takes 1,000 and 10,000.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import common
from home import Home
from letters import FILES

COLUMNS = "email,first_name,last_name,company,title,country,language,industry,consent"
TITLES = ("CFO", "Head of IT", "Engineer", "Buyer")


def file_of(folder: Path, people: int) -> Path:
    """A CSV of so many people."""
    path = folder / f"people-{people}.csv"
    with path.open("w", encoding="utf-8") as out:
        out.write(f"{COLUMNS}\n")
        for n in range(people):
            firm = n // 20
            who = f"lead{n}@company{firm}.example,Ana {n},Popescu,Firm {firm} & Sons,{TITLES[n % 4]}"
            out.write(f"{who},RO,en,saas,legitimate_interest\n")
    return path


def take_in(home: Home, file: Path) -> tuple[common.Child, dict[str, Any]]:
    """Run the command; what it said."""
    ran = home.nurture("import", "leads", str(file), "--json")
    return ran, json.loads(ran.said[ran.said.index("{") :])


def measure(kind: str, urls: tuple[str, ...], folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    """Each file into a base of its own; the first again into the last base."""
    rows: list[dict[str, Any]] = []

    def row(what: str, people: int, ran: common.Child) -> None:
        rows.append({
            "database": kind, "rows": people, "into": what, "s": ran.seconds, "rows/s": people / ran.seconds,
            "us of CPU a row": 1e6 * ran.cpu / people, "MB at most": ran.megabytes,
        })  # fmt: skip

    files = [file_of(folder, size) for size in sizes]
    for url, size, file in zip(urls, sizes, files, strict=True):
        home = Home(folder / f"{kind}-{size}", url, "smtp://127.0.0.1:9", FILES)
        ran, said = take_in(home, file)
        assert said["created"] == size, said
        row("an empty base", size, ran)
    ran, said = take_in(home, files[0])
    assert said["unchanged"] == sizes[0], said
    row(f"{sizes[-1]:,} leads, again", sizes[0], ran)
    home.db.dispose()
    return rows


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        sizes = [b.size(10_000, 1_000_000)]
        while sizes[0] > (1_000 if b.small else 10_000):
            sizes.insert(0, max(1_000, sizes[0] // 10))
        rows: list[dict[str, Any]] = []
        for kind, (_, *urls) in b.databases("none", *(f"import{size}" for size in sizes)):
            rows += measure(kind, urls, b.folder, sizes)
        b.table("`nurture import leads` of a CSV; measured once each", rows)


if __name__ == "__main__":
    main()
