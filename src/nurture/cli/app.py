"""`nurture`: the list of commands, and what becomes of errors.

Exit codes: 0 done, 1 the answer is no, 2 wrong use. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group

from nurture import __version__
from nurture.cli import (
    agreeing,
    auditing,
    away,
    backtesting,
    byhand,
    crm,
    doubts,
    drawing,
    experimenting,
    holding,
    identity,
    inbound,
    keys,
    leads,
    looking,
    operator,
    program,
    rehearsing,
    rights,
    running,
    sales,
    serving,
    stages,
    tasks,
)
from nurture.cli.speech import complain
from nurture.errors import NurtureError

WRITING, LEADS, RUNNING, LOOKING, SALES = (
    Group(title, sort_key=place)
    for place, title in enumerate(("Write a program", "Leads", "Run it", "Look", "Sales"), 1)
)
#: In the order in which help lists them; a dict is a command of several words.
COMMANDS: list[tuple[Group, str, Callable[..., Any] | dict[str, Callable[..., Any]]]] = [
    (WRITING, "init", program.init),
    (WRITING, "check", program.check),
    (WRITING, "test", program.run_tests),
    (WRITING, "simulate", rehearsing.simulate),
    (WRITING, "publish", program.publish),
    (WRITING, "preview", drawing.preview),
    (WRITING, "diagram", drawing.diagram),
    (WRITING, "schema", drawing.schema),
    (WRITING, "definitions", agreeing.definitions),
    (
        LEADS,
        "import",
        {
            "leads": leads.import_leads,
            "events": leads.import_events,
            "answers": sales.import_answers,
            "suppressions": identity.import_suppressions,
            "positions": identity.import_positions,
        },
    ),
    (LEADS, "explain", leads.explain),
    (LEADS, "enrol", byhand.enrol),
    (LEADS, "unenrol", byhand.unenrol),
    (LEADS, "reclass", byhand.reclass),
    (LEADS, "merge", identity.merge),
    (LEADS, "readdress", identity.readdress),
    (LEADS, "stage", stages.stage),
    (LEADS, "status", stages.status),
    (LEADS, "account", stages.account),
    (LEADS, "unsubscribe", leads.unsubscribe),
    (LEADS, "object", leads.object_to),
    (LEADS, "dossier", rights.dossier),
    (LEADS, "forget", rights.forget),
    (LEADS, "export", rights.export),
    (RUNNING, "tick", running.tick),
    (RUNNING, "run", running.run),
    (RUNNING, "deploy", running.deploy),
    (RUNNING, "serve", serving.serve),
    (RUNNING, "pause", holding.pause),
    (RUNNING, "resume", holding.resume),
    (RUNNING, "stop", holding.stop),
    (RUNNING, "start", holding.start),
    (RUNNING, "holds", {"list": holding.holds, "release": holding.release, "discard": holding.discard}),
    (RUNNING, "inbound", {"take": inbound.take, "fetch": inbound.fetch, "list": inbound.show}),
    (RUNNING, "crm", {"status": crm.status, "check": crm.check, "push": crm.push, "pull": crm.pull}),
    (RUNNING, "key", {"add": keys.add, "list": keys.show, "revoke": keys.revoke}),
    (RUNNING, "migrate", running.migrate),
    (RUNNING, "retain", rights.retain),
    (RUNNING, "verify", operator.verify),
    (RUNNING, "doctor", operator.doctor),
    (RUNNING, "adopt", operator.adopt),
    (RUNNING, "demo", running.demo),
    (
        LOOKING,
        "report",
        {
            "funnel": looking.report,
            "handoffs": sales.report_handoffs,
            "experiments": experimenting.experiments,
            "holdout": experimenting.holdout,
            "definitions": auditing.definitions,
        },
    ),
    (LOOKING, "cohorts", looking.cohorts),
    (LOOKING, "backtest", backtesting.backtest),
    (LOOKING, "forecast", backtesting.forecast),
    (LOOKING, "endpoints", tasks.endpoints),
    (LOOKING, "uncertain", {"list": doubts.uncertain, "sent": doubts.sent, "resend": doubts.resend}),
    (SALES, "handoffs", sales.handoffs),
    (SALES, "accept", sales.accept),
    (SALES, "reject", sales.reject),
    (SALES, "met", sales.met),
    (SALES, "sql", sales.sql),
    (SALES, "opportunity", sales.opportunity),
    (SALES, "won", sales.won),
    (SALES, "lost", sales.lost),
    (SALES, "recycle", sales.recycle),
    (SALES, "reassign", away.reassign),
    (SALES, "away", away.away),
    (SALES, "tasks", tasks.tasks),
    (SALES, "done", tasks.done),
]
#: What a command of several words does when none is said.
UNSAID = {"list", "funnel", "status"}
HELP = {
    "crm": "The CRM beside us: how it stands, whether it is set up, tell it, hear it.",
    "inbound": "Take in what comes back by mail: bounces, complaints, replies.",
    "holds": "Deal with sends that wait for a person: list, release, discard.",
    "import": "Bring in leads, events, answers of sales, suppressions or positions in sequences from CSV or NDJSON.",
    "key": "Keys with which a website or another system tells us things: list unless said, add, revoke.",
    "report": "Show how it goes: the funnel unless said, hand-offs, experiments, the holdout, the definitions.",
    "uncertain": "Deal with messages of which nobody knows whether they arrived.",
}


def build() -> App:
    """The application with all its commands."""
    options = Group("Other", sort_key=9)
    app = App(
        name="nurture",
        help="Lead-nurture sequences: e-mail, offers and audiences per segment, scored and handed to sales.",
        version=__version__,
        help_format="plaintext",
        group_commands=options,
        group_parameters=Group("Options", sort_key=8),
    )
    app["--help"].group = app["--version"].group = options
    for place, (group, name, command) in enumerate(COMMANDS):
        if not isinstance(command, dict):
            app.command(command, name=name, group=group, sort_key=place)
            continue
        several = App(name=name, help=HELP[name], group=group, sort_key=place)
        for word, function in command.items():
            several.command(function, name=word)
        for word in UNSAID & command.keys():
            several.default(command[word])
        app.command(several)
    return app


#: Python looks for circles of dead objects after so many new ones, instead of 700: what a command imports stays anyway,
#: and looking through it again and again is half of what its start takes.
_RARELY = 50_000


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. `words`: instead of the process's own."""
    if words is not None:
        return _run(words)
    gc.set_threshold(_RARELY)
    try:
        return _run(None)
    finally:
        gc.freeze()  # the end of the process does not look through it all either


def _run(words: Sequence[str] | None) -> int:
    try:
        told = build()(words, result_action="return_value", exit_on_error=False, print_error=False, help_on_error=False)
    except CycloptsError as misuse:
        complain(f"{misuse}\nSee: nurture {_asked(words)}--help")
        return 2
    except NurtureError as problem:
        complain(str(problem))
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: `| head`
        return 1
    except KeyboardInterrupt:
        return 130
    return told if isinstance(told, int) else 0


def _asked(words: Sequence[str] | None) -> str:
    """The command that was meant, for its help."""
    known = [name for _, name, _ in COMMANDS]
    given = list(sys.argv[1:] if words is None else words)
    return f"{given[0]} " if given and given[0] in known else ""
