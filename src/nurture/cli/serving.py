"""`nurture serve`: the whole machine on one host, or the parts of it that another process does not carry."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nurture import clock
from nurture.cli import prefecting
from nurture.cli.children import Child
from nurture.cli.operator import say_if_cloned
from nurture.cli.speech import complain, counted, machine, say, say_where_mail_goes, settings
from nurture.errors import DatabaseFault, NotPublished, NurtureError, SettingsError

if TYPE_CHECKING:
    from nurture.engine.machine import Machine
    from nurture.settings import Listen, Settings

Part = Literal["public", "private", "outbox", "prefect", "worker"]
PARTS: tuple[Part, ...] = ("public", "private", "outbox", "prefect", "worker")
_DRAIN_SECONDS = 3.0
#: Seconds between two looks at the children, between two at what is live, and that Prefect has to end.
_LOOK, _FOLLOW, _END = 0.25, 5.0, 5.0
log = logging.getLogger("nurture.cli")


class Taken(NurtureError):
    """Somebody else listens where we should."""


def serve(
    *,
    only: Annotated[
        list[Part] | None, Parameter(name="--only", negative="", help="This part alone; may be given several times.")
    ] = None,
    no_prefect: Annotated[
        bool, Parameter(name="--no-prefect", negative="", help="Without Prefect: `nurture tick` carries leads on.")
    ] = False,
    host: Annotated[str | None, Parameter(help="Of the public pages, instead of NURTURE_PUBLIC_LISTEN's.")] = None,
    port: Annotated[int | None, Parameter(help="Likewise.")] = None,
) -> int:
    """Serve the public and the private pages, send notices, and have Prefect tick; Ctrl-C ends it all."""
    parts = set(only or PARTS) - ({"prefect", "worker"} if no_prefect else set())
    given = settings()
    if host is not None or port is not None:
        said = given.listen("public")
        there = f"{said.host if host is None else host}:{said.port if port is None else port}"
        given = given.model_copy(update={"public_listen": there})
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a journal or a file is read while we run
    for app in ("public", "private", "prefect"):
        given.listen(app)
    with _asked_to_end() as asked, ExitStack() as stack:
        house = _House(given, parts, asked, stack)
        house.open()
        return house.run()


@contextmanager
def _asked_to_end() -> Iterator[list[int]]:
    """Empty until Ctrl-C, SIGTERM, or the terminal's going away; a lock taken in a handler might be our own."""
    asked: list[int] = []
    signs = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {sign: signal.signal(sign, lambda number, _: asked.append(number)) for sign in signs}
    try:
        yield asked
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class _House:
    """What runs: servers and the outbox on threads, Prefect as children; the main thread watches."""

    def __init__(self, given: Settings, parts: set[Part], asked: list[int], stack: ExitStack) -> None:
        self.given, self.parts, self._asked, self._stack = given, parts, asked, stack
        self._over = threading.Event()
        self.machine: Machine | None = None
        self.servers: list[Any] = []
        self.prefect: Child | None = None
        self.deploy: Child | None = None
        self.worker: Child | None = None
        self._environment = prefecting.environment(given) if parts & {"prefect", "worker"} else {}
        from nurture.cli.doorbell import Doorbell  # it knows the tables; help is to be there at once

        self._doorbell = Doorbell(self._environment)
        self._deployed: list[str] = []
        self._followed, self._answers = 0.0, False

    def open(self) -> None:
        """Everything up, and said where. Raises NurtureError with what stands in the way."""
        if "prefect" in self.parts:
            _require_free(self.given.listen("prefect"), "PREFECT")
        if self.parts - {"prefect"}:
            self.machine = self._stack.enter_context(machine(given=self.given))
            self._open_doors(self.machine)
        if self.parts & {"prefect", "worker"}:
            self._open_prefect()
        say("Stop with Ctrl-C.")

    def _open_doors(self, opened: Machine) -> None:
        from nurture.web.metrics import Metrics
        from nurture.web.server import PrivateServer, PublicServer

        given, metrics = self.given, Metrics.of(opened)
        say_where_mail_goes(given)
        say_if_cloned(opened)
        if not self._published():
            complain("Nothing is published yet: pages answer 503 until 'nurture publish' has run.")
        if "public" in self.parts:
            listen, proxies = given.listen("public"), given.proxies()
            with _telling(listen, "PUBLIC"):
                most = given.connections_per_network
                public = PublicServer(opened, 0, proxies, listen=listen, times=metrics.times, connections=most)
            self._serve(public)
            say(f"Public pages   {public.url}  (links in messages lead to {given.public_url})")
        if "private" in self.parts:
            listen = given.listen("private")
            with _telling(listen, "PRIVATE"):
                private = PrivateServer(opened, listen, self._surroundings(listen), metrics)
            self._serve(private)
            guard = "asks for the token" if given.token() else "for this machine alone"
            say(f"Private pages  {private.url}  ({guard}; /health, /metrics)")
        if "outbox" in self.parts:
            notices = threading.Thread(target=send_notices, args=(opened, self._over), name="notices", daemon=True)
            notices.start()
            self._stack.callback(notices.join, _END)
            say("Outbox         notices to sales, confirmations, audiences")

    def _serve(self, server: Any) -> None:
        self._stack.enter_context(server)
        self.servers.append(server)

    def _surroundings(self, listen: Listen) -> Any:
        from urllib.parse import urlsplit

        from nurture.web.private import Surroundings

        given = self.given
        names = [listen.host, urlsplit(given.private_url or "").hostname or ""]
        known = self._environment or ({"PREFECT_API_URL": os.environ.get("PREFECT_API_URL", "")})
        pages = known.get("PREFECT_UI_API_URL") or known["PREFECT_API_URL"]
        return Surroundings(
            hosts=[name for name in names if name], token=given.token(),
            environment={"PREFECT_API_URL": known["PREFECT_API_URL"]}, prefect=pages.removesuffix("/api") or None,
        )  # fmt: skip

    def _published(self) -> list[str]:
        """The live segments; none before the first publication."""
        assert self.machine is not None
        try:
            return sorted(self.machine.segments())
        except NotPublished:
            return []

    def _open_prefect(self) -> None:
        home = self.given.home.resolve()
        environment = {"PREFECT_HOME": str(home / "prefect"), "PREFECT_SERVER_LOGGING_LEVEL": "WARNING"}
        environment |= self._environment
        Path(environment["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
        if "prefect" in self.parts:
            self.prefect = Child("Prefect's server", prefecting.command("server"), environment, complain, quiet=True)
            say(f"Prefect        {self.given.listen('prefect').url}  (its pages; it takes some seconds to wake)")
        if "worker" in self.parts:
            assert self.machine is not None
            limit = ("--limit", "3") if self.machine.db.is_sqlite else ()
            self.deploy = Child("deploy", prefecting.command("deploy"), environment, complain, once=True, quiet=True)
            self.worker = Child("worker", prefecting.command("worker", *limit), environment, complain)
            say(f"Worker         ticks by the deployments of {environment['PREFECT_API_URL']}")

    def run(self) -> int:
        """Watch until somebody asks for the end; then end all, in order. 1 when a door fell."""
        try:
            while not self._asked:
                if (fallen := next((server for server in self.servers if not server.alive), None)) is not None:
                    complain(
                        f"the {fallen.name} app has ended, which is a fault of ours; ending all, to be started anew"
                    )
                    return 1
                self._look()
                clock.pause(_LOOK)
        finally:
            self.end()
        return 0

    def _look(self) -> None:
        if self.prefect is not None:
            self.prefect.look()
        if self.deploy is None or self.worker is None or not self._prefect_answers():
            return
        now = clock.monotonic()
        if now - self._followed >= _FOLLOW:
            self._followed = now
            self._follow(self.deploy)
        if self._deployed:
            self.deploy.look()
            if self.deploy.done:
                self.worker.look()

    def _follow(self, deploy: Child) -> None:
        """Have a deployment for each segment that is live now, and routing look at what a door has handed over."""
        assert self.machine is not None
        try:
            live = self._published()
            if deploy.done:
                self._doorbell.look(self.machine)
        except DatabaseFault:
            return  # the doors and the notices say so
        if live and live != self._deployed:
            say(f"Deploying {counted(len(live), 'segment')}: {', '.join(live)}")
            self._deployed = live
            deploy.again()

    def _prefect_answers(self) -> bool:
        """Whether the API has answered since the server was started; it is asked until it does."""
        if self._answers and (self.prefect is None or self.prefect.pid is not None):
            return True
        url = f"{self._environment['PREFECT_API_URL']}/health"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                self._answers = answer.status == 200
        except (OSError, HTTPException, ValueError):  # nobody, somebody who speaks no HTTP, no address
            self._answers = False
        if self._answers:
            say("Prefect answers.")
        return self._answers

    def end(self) -> None:
        """Doors and the worker first, Prefect's server, to which the worker reports, last."""
        self._over.set()
        if self.servers or self.prefect or self.worker:
            say("Ending …")
        for server in self.servers:
            server.end()
        ahead = [child for child in (self.worker, self.deploy) if child is not None]
        for child in ahead:
            child.ask_to_end()
        until = clock.monotonic() + _END
        for child in ahead:
            child.end(until - clock.monotonic())
        if self.prefect is not None:
            self.prefect.ask_to_end()
            self.prefect.end(_END)


def _require_free(listen: Listen, name: str) -> None:
    """Raise Taken unless we could listen there."""
    with _telling(listen, name), socket.socket(socket.AF_INET6 if ":" in listen.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((listen.host, listen.port))


@contextmanager
def _telling(listen: Listen, name: str) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as problem:
        raise SettingsError(
            f"NURTURE_{name}_LISTEN: '{listen.host}' is no address of this machine ({problem})"
        ) from None
    except OSError as problem:
        raise Taken(
            f"{listen} cannot be used ({os.strerror(problem.errno or 0)}); end what listens there, perhaps another "
            f"'nurture serve', or set NURTURE_{name}_LISTEN to another port"
        ) from None


def send_notices(opened: Machine, over: threading.Event) -> None:
    """Drain the outbox and keep hand-offs' terms, every few seconds; a fault is said once, and tried again."""
    from nurture.engine import terms

    said = ""
    while not over.is_set():
        try:
            opened.drain(opened.now())
            terms.keep_all(opened.db, opened.library, opened.now())
            said = ""
        except NurtureError as problem:
            if str(problem) != said:
                said = str(problem)
                complain(f"notices: {said}")
        except Exception as problem:
            if repr(problem) != said:
                said = repr(problem)
                log.exception("notices could not be sent; trying again")
        over.wait(_DRAIN_SECONDS)
