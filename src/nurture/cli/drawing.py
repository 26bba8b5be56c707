"""What a marketer looks at before anybody gets anything: a message, a sequence as a picture; schemas for the editor."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from nurture.cli.speech import WrongUse, complain, counted, machine, say, settings
from nurture.errors import FileFault, NotFound, Refused

if TYPE_CHECKING:
    from nurture.program.load import Segment
    from nurture.reading.chart import Standing
    from nurture.reading.preview import Preview, Whom
    from nurture.settings import Settings

_SEGMENT = Parameter(help="The segment's folder.")
#: What a YAML language server looks for in a file's first line.
_MODELINE = "# yaml-language-server:"
#: Widths of the pictures of a message, in CSS pixels.
_SCREENS = {"phone": 390, "desktop": 800}


def schema(
    kind: Annotated[
        str | None, Parameter(name="KIND", help="program, lifecycle, scoring, offers, sequence or checks; else all.")
    ] = None,
    /,
    *,
    to: Annotated[Path | None, Parameter(name="--to", help="A folder; each schema becomes a file there.")] = None,
    editor: Annotated[
        bool, Parameter(negative="", help="Into .schema of the program, and name them in the first line of its files.")
    ] = False,
) -> int:
    """Print or write the JSON Schema of the program's files, by which an editor completes and underlines."""
    from nurture.program.schema import FILES
    from nurture.program.schema import schema as made

    if editor:
        folder = settings().templates
        marked = prepare_for_editors(folder)
        say(f"{folder}/.schema holds the schemas; {counted(marked, 'file')} did not name one yet and now does.")
        return 0
    if to is None:
        if kind is None:
            raise WrongUse(f"nurture schema prints one: name it ({', '.join(FILES)}), or write all with --to DIR")
        say(made(kind).rstrip())
        return 0
    write_schemas(to, kind)
    say(f"{to} holds {'the schema' if kind else 'the schemas'}; docs/editor.md says how an editor finds them.")
    return 0


def prepare_for_editors(folder: Path) -> int:
    """Schemas into `.schema` of a program, named in the first line of each of its files; how many did not name one."""
    from nurture.program.load import read_folder
    from nurture.program.schema import named_schema

    write_schemas(folder / ".schema")
    marked = 0
    for name, text in read_folder(folder).items():
        kind = named_schema(name, text) if name.endswith(".yaml") else None
        if kind is None or text.startswith(_MODELINE):
            continue
        up = "../" * name.count("/") or "./"
        written = (folder / name).read_bytes().removeprefix(codecs.BOM_UTF8)
        end = "\r\n" if b"\r\n" in written else "\n"
        _write(folder / name, f"{_MODELINE} $schema={up}.schema/{kind}.json{end}".encode() + written)
        marked += 1
    return marked


def write_schemas(folder: Path, kind: str | None = None) -> None:
    """The schema of each kind of file, or of one, as a file in `folder`."""
    from nurture.program.schema import FILES
    from nurture.program.schema import schema as made

    for name in [kind] if kind is not None else FILES:
        _write(folder / f"{name}.json", made(name).encode())


def preview(
    segment: Annotated[str, _SEGMENT],
    step: Annotated[str, Parameter(help="A step that sends a letter, an offer or a text message.")],
    /,
    *,
    lead: Annotated[str | None, Parameter(help="As this lead would get it: an e-mail, source:id or number.")] = None,
    like: Annotated[
        list[str] | None, Parameter(negative="", help="As a made-up lead: field=value, as often as you like.")
    ] = None,
    language: Annotated[str | None, Parameter(help="As if the lead spoke this, such as ar.")] = None,
    variant: Annotated[str | None, Parameter(help="This variant of an experiment.")] = None,
    as_: Annotated[Literal["text", "html", "png", "eml"], Parameter(name="--as", help="What to make of it.")] = "text",
    to: Annotated[Path | None, Parameter(name="--to", help="A file or a folder to write it to.")] = None,
    send_to: Annotated[
        list[str] | None, Parameter(negative="", help="Send it to this address: to yourself, never to the lead.")
    ] = None,
    live: Annotated[bool, Parameter(negative="--draft", help="As published; else as the folder says now.")] = False,
) -> int:
    """Show a message as a lead would get it: text, HTML, picture, or mail to yourself; nobody else gets anything."""
    from nurture.clock import SystemClock
    from nurture.program.load import read_folder
    from nurture.reading.preview import Whom
    from nurture.reading.preview import preview as made

    if lead is not None and like:
        raise WrongUse("give --lead or --like, not both")
    given, now = settings(), SystemClock().now()
    files = {} if live else _one_segment(read_folder(given.templates), segment)
    whom = Whom(values=_values(like or []))
    if live or lead is not None:
        files, whom = _from_database(given, segment, lead, files, whom)
    shown = made(
        files, segment, step, whom, now, public_url=given.public_url, language=language, arm=variant
    )  # fmt: skip
    if send_to:
        return _send(shown, send_to, given)
    return _show(shown, as_, to)


def _one_segment(files: dict[str, str], segment: str) -> dict[str, str]:
    """The files of the house and this segment. Raises NotFound."""
    from nurture.language.problems import suggest

    slugs = {name.split("/")[0] for name in files if name.endswith("/sequence.yaml") and name.count("/") == 1}
    if segment not in slugs:
        raise NotFound(f"there is no segment '{segment}'; {suggest(segment, slugs)}")
    own = {name: text for name, text in files.items() if name.split("/")[0] in (segment, "_shared") or "/" not in name}
    return {name: text for name, text in own.items() if "/checks/" not in name}


def _values(like: list[str]) -> dict[str, str]:
    values = {}
    for one in like:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise WrongUse(f"--like: '{one}' is not field=value; write --like first_name=Ana")
        values[name.strip()] = value
    return values


def _from_database(
    given: Settings, segment: str, lead: str | None, files: dict[str, str], whom: Whom
) -> tuple[dict[str, str], Whom]:
    """The published files (none given: those of `files`), and what is known of the lead. Only read."""
    from nurture.clock import SystemClock
    from nurture.engine.live import Library
    from nurture.engine.story import find_lead
    from nurture.opening import open_database
    from nurture.reading.preview import known_lead

    db = open_database(given)
    try:
        with db.read() as link:
            if not files:
                live = Library().live(link)
                files = {**live.house.files, **live.segment(segment).files}
            if lead is not None:
                whom = known_lead(link, find_lead(link, lead), SystemClock().now())
    finally:
        db.dispose()
    return files, whom


def _show(shown: Preview, as_: str, to: Path | None) -> int:
    if as_ == "text" and to is None:
        say(shown.told())
        return 0
    if as_ in ("html", "png") and not shown.html:
        raise Refused(f"step '{shown.step}' sends a text message, which is no page; look at it with --as text")
    name = f"{shown.segment}.{shown.step}" + (f".{shown.arm}" if shown.arm else "")
    if as_ == "png":
        from nurture.reading.picture import page_picture

        for screen, width in _SCREENS.items():
            file = _named(to, f"{name}.png").with_suffix(f".{screen}.png")
            _write(file, page_picture(shown.html, width))
            say(str(file))
        return 0
    content = {"text": shown.told().encode(), "html": shown.html.encode(), "eml": shown.raw}[as_]
    file = _named(to, f"{name}.{'txt' if as_ == 'text' or not shown.html else as_}")
    _write(file, content)
    say(str(file))
    return 0


def _named(to: Path | None, name: str) -> Path:
    """A file that was named, or `name` in a folder."""
    if to is None:
        return Path(name)
    return to / name if to.is_dir() or not to.suffix else to


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as problem:
        raise FileFault(f"{file}: cannot be written ({problem.strerror}); name another place with --to") from None


def _send(shown: Preview, addresses: list[str], given: Settings) -> int:
    """Mail it through the relay; without one, say what was written instead."""
    from email.utils import parseaddr

    from nurture.channels.base import NoJournal, Parcel
    from nurture.clock import SystemClock
    from nurture.folding import canonical_email
    from nurture.mail.addresses import one_address
    from nurture.mail.dkim import load_signer
    from nurture.opening import mail_channel
    from nurture.reading.preview import for_myself

    if not shown.html:
        raise Refused(f"step '{shown.step}' sends a text message; --send-to sends mail only: look at it with --as text")
    signer = load_signer(given.dkim_selector, given.dkim_key_file, given.dkim_domain)
    now, sender = SystemClock().now(), one_address(parseaddr(shown.sender)[1], "From")
    parcels = []
    for number, written in enumerate(addresses):
        try:
            address = canonical_email(written)
        except ValueError as problem:
            raise WrongUse(f"--send-to: '{written}' {problem}") from None
        payload = for_myself(shown, address, now, signer)
        parcels.append(Parcel(number, f"preview-{number}", sender, one_address(address), payload))
    if given.smtp_url is None:
        file = Path(f"{shown.segment}.{shown.step}.eml")
        _write(file, parcels[0].payload)
        raise Refused(
            f"NURTURE_SMTP_URL is not set, so nothing was sent; {file} was written, and a mail program opens it"
        )
    channel = mail_channel(given)
    try:
        receipts = channel.deliver(parcels, NoJournal(), lambda *_: False)
    finally:
        channel.close()
    for parcel, receipt in zip(parcels, receipts, strict=True):
        (say if receipt.verdict == "accepted" else complain)(f"{parcel.to}: {receipt.verdict}, {receipt.detail}")
    return 0 if all(receipt.verdict == "accepted" for receipt in receipts) else 1


def diagram(
    segment: Annotated[str, _SEGMENT],
    /,
    *,
    live: Annotated[bool, Parameter(negative="", help="As published, with who stands where.")] = False,
    as_: Annotated[Literal["mermaid", "svg", "png"], Parameter(name="--as", help="What to draw.")] = "mermaid",
    to: Annotated[Path | None, Parameter(name="--to", help="A file or a folder to write it to.")] = None,
) -> int:
    """Draw a sequence: a Mermaid flowchart as text, or a picture."""
    from nurture.reading import diagram as pictures

    drawn, counts = _drawn(segment, live)
    if as_ == "mermaid":
        content = f"{pictures.diagram(drawn, counts)}\n".encode()
    else:
        from nurture.reading.chart import chart
        from nurture.reading.drawing import svg

        content = svg(chart(drawn, counts)).encode()
        if as_ == "png":
            from nurture.reading.picture import svg_picture

            content = svg_picture(content.decode())
    if to is None and as_ != "png":
        say(content.decode().rstrip())
        if as_ == "mermaid":
            _where_to_show()
        return 0
    file = _named(to, f"{segment}.{'mmd' if as_ == 'mermaid' else as_}")
    _write(file, content)
    say(str(file))
    return 0


def _drawn(segment: str, live: bool) -> tuple[Segment, Standing | None]:
    from nurture.program.load import load, read_folder
    from nurture.reading.diagram import standing

    if not live:
        files = _one_segment(read_folder(settings().templates), segment)
        return load(files).require().segments[segment], None
    with machine() as opened:
        return opened.live().segment(segment), standing(opened, segment)


def _where_to_show() -> None:
    """For a person at a terminal: what this text is for."""
    if sys.stdout.isatty():
        shown = "a ```mermaid block of a Markdown file on GitHub or GitLab, or mermaid.live"
        complain(f"This is Mermaid text; what shows it as a picture: {shown}; or draw one with --as png.")
