"""The ways out that need no network: a folder, a rehearsal; and the journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from nurture.channels.base import NoJournal, Parcel, Receipt, receipt
from nurture.channels.folder import FolderChannel
from nurture.channels.journal import FileJournal, read_journal
from nurture.channels.recording import RecordingChannel


def parcel(touch: int, payload: bytes = b"Subject: x\r\n\r\nbody\r\n") -> Parcel:
    return Parcel(touch, f"t-{touch}", "b@us.example", "ana@acme.example", payload)


def test_messages_become_files(tmp_path):
    """One .eml for each touch, its bytes untouched, nothing half-written left."""
    channel = FolderChannel(tmp_path / "mail")
    receipts = channel.deliver([parcel(1), parcel(2)], NoJournal(), lambda *_: False)

    assert [r.verdict for r in receipts] == ["accepted"] * 2
    assert sorted(p.name for p in (tmp_path / "mail").iterdir()) == sorted(
        channel.path(p).name for p in (parcel(1), parcel(2))
    )
    assert channel.path(parcel(1)).read_bytes() == parcel(1).payload


def test_a_repeated_delivery_replaces_the_file(tmp_path):
    """The same touch and key: one file."""
    channel = FolderChannel(tmp_path)
    channel.deliver([parcel(1)], NoJournal(), lambda *_: False)
    channel.deliver([parcel(1)], NoJournal(), lambda *_: False)

    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_takes_the_channel_down(tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "mail").write_text("")
    channel = FolderChannel(tmp_path / "mail")
    receipts = channel.deliver([parcel(1), parcel(2)], NoJournal(), lambda *_: False)

    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert "mail" in (channel.down or "")


def test_the_folder_stops_when_told(tmp_path):
    """Asked before each message."""
    channel = FolderChannel(tmp_path)
    stop = lambda *_: len(list(tmp_path.iterdir())) >= 1  # noqa: E731
    receipts = channel.deliver([parcel(1), parcel(2)], NoJournal(), stop)

    assert [r.verdict for r in receipts] == ["accepted", "not_started"]


def test_a_rehearsal_keeps_everything():
    """In order, and nothing leaves."""
    channel = RecordingChannel("email")
    receipts = channel.deliver([parcel(1), parcel(2)], NoJournal(), lambda *_: False)

    assert [r.verdict for r in receipts] == ["accepted"] * 2
    assert channel.parcels == [parcel(1), parcel(2)]
    assert channel.deliver([parcel(3)], NoJournal(), lambda *_: True)[0].verdict == "not_started"


def test_the_journal_knows_the_last_of_each(tmp_path):
    """started, then the answer; what is missing never began."""
    journal = FileJournal(tmp_path / "j" / "journal")
    for touch in (1, 2, 3, 4):
        journal.started(touch)
    journal.replied(Receipt(1, "accepted", "END 250 ok R 2 accepted"))
    journal.replied(Receipt(2, "unknown", ""))
    journal.replied(Receipt(5, "refused", "RCPT 550"))
    journal.started(4)
    journal.flush()
    journal.close()

    known = read_journal(tmp_path / "j" / "journal")

    assert known == {1: "accepted", 2: "unknown", 3: "started", 4: "started", 5: "refused"}
    assert read_journal(tmp_path / "none") == {}


@pytest.mark.parametrize("torn", [b"S 1", b"R 3 acc", b"R 3 accepted END 250", b"\x00\xff", b"S"], ids=repr)
def test_a_torn_line_says_nothing_and_spoils_nothing(tmp_path, torn):
    """The last line of a killed writer is passed over, also after others were written behind it."""
    path = tmp_path / "journal"
    path.write_bytes(b"\nS 3 .\n" + torn)
    assert read_journal(path) == {3: "started"}

    journal = FileJournal(path)
    journal.started(7)
    journal.close()

    assert read_journal(path)[7] == "started"
    assert set(read_journal(path)) <= {1, 3, 7}


SHORT = """
import resource, signal, sys
from pathlib import Path
from nurture.channels.journal import FileJournal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = FileJournal(Path(sys.argv[1]))
journal.started(100)
resource.setrlimit(resource.RLIMIT_FSIZE, (14, 200))
try:
    journal.started(100909)
except OSError as problem:
    print(problem.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
journal.started(200)
"""


def test_a_line_for_which_there_is_no_room_is_an_error(tmp_path):
    """A full disk takes a part of a line: the body must not leave, and the next line is not spoilt."""
    path = tmp_path / "journal"
    said = subprocess.run([sys.executable, "-c", SHORT, str(path)], capture_output=True, text=True, check=True)

    assert said.stdout == "No space left on device\n"
    assert {100: "started", 200: "started"}.items() <= read_journal(path).items()
    assert 100909 not in read_journal(path)


def test_a_journal_of_an_older_version_is_believed_as_far_as_it_goes(tmp_path):
    """Its beginnings have no mark: they may have begun, and nothing of them is sent again by itself."""
    path = tmp_path / "journal"
    path.write_bytes(b"S 1\nR 1 accepted END 250\nS 2\n")

    assert read_journal(path) == {1: "started", 2: "started"}


def test_threads_write_whole_lines(tmp_path):
    """Four writers, a thousand lines each, none of them mixed."""
    journal = FileJournal(tmp_path / "journal")

    def write(start: int) -> None:
        for n in range(start, start + 500):
            journal.started(n)
            journal.replied(Receipt(n, "accepted", "END 250 " + "x" * 150))

    threads = [threading.Thread(target=write, args=(k * 500,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()

    assert read_journal(tmp_path / "journal") == dict.fromkeys(range(2000), "accepted")


WRITER = """
import sys
from pathlib import Path
from nurture.channels.journal import FileJournal
journal, n = FileJournal(Path(sys.argv[1])), 0
while True:
    n += 1
    journal.started(n)
    print(n, flush=True)
"""


def test_the_journal_survives_kill_9(tmp_path):
    """Every line that was written before the kill is there after it, unflushed."""
    import nurture

    source = os.path.dirname(os.path.dirname(nurture.__file__))  # noqa: PTH120
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "journal")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": source},
    )
    assert writer.stdout is not None
    for _ in range(1000):
        said = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()

    known = read_journal(tmp_path / "journal")
    assert set(known) >= set(range(1, said + 1))


def test_a_receipt_is_one_printable_line():
    """What a server says goes into logs and pages: no line breaks, no controls, at most 200 characters."""
    made = receipt(parcel(1), "refused", "RCPT", 550, "no\r\nsuch\x1b[31m user\u2028" + "x" * 500)

    assert made.detail.isprintable()
    assert made.detail.startswith("RCPT 550 no such [31m user x")
    assert len(made.detail) == 200
