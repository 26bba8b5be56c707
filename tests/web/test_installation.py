"""What an installation decides: its secret, its proxies, its name, and notices that go on."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nurture.cli import serving
from nurture.errors import SettingsError
from nurture.opening import own_name
from nurture.settings import Settings


def test_processes_that_start_at_once_share_one_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second reads the first one's, whole; nobody else can read it, and nothing is left over."""
    monkeypatch.delenv("NURTURE_SECRET_KEY", raising=False)
    home = tmp_path / "home"
    gate = threading.Barrier(8)

    def start(_: int) -> str:
        gate.wait(10)
        return Settings(home=home, secret_key=None, secret_key_file=None).secret()

    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(start, range(8)))

    assert len(secrets) == 1
    assert [path.name for path in home.iterdir()] == ["secret_key"]
    assert (home / "secret_key").stat().st_mode & 0o777 == 0o600


def test_proxies_are_addresses_or_networks() -> None:
    assert Settings().proxies() == []
    assert Settings(trusted_proxies="127.0.0.1, 10.0.0.0/24,::1").proxies() == ["127.0.0.1", "10.0.0.0/24", "::1"]
    for wrong in ("*", "proxy.internal", "10.0.0.1/24"):
        with pytest.raises(SettingsError, match=r"NURTURE_TRUSTED_PROXIES: '.*' is not an IP address or network"):
            Settings(trusted_proxies=wrong).proxies()


NAMES = {
    "https://mail.acme.example": "mail.acme.example",
    "https://Büro.example:8443/x": "xn--bro-hoa.example",
    "http://127.0.0.1:8321": "localhost",
    "http://[2001:db8::1]": "localhost",
    "https://192.0.2.1": "localhost",
    "http://localhost:8321": "localhost",
    "http://nurture.localhost": "localhost",
    "http://" + "x" * 70 + ".example": "localhost",
}


@pytest.mark.parametrize(("url", "name"), NAMES.items(), ids=NAMES.values())
def test_a_relay_is_told_the_public_name(url: str, name: str) -> None:
    assert own_name(url) == name


def test_notices_go_on_after_any_fault(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is written down once, with how it came about, and the next turn is tried."""
    monkeypatch.setattr(serving, "_DRAIN_SECONDS", 0.001)
    over = threading.Event()

    class Broken:
        turns = 0

        def now(self) -> None: ...

        def drain(self, now: Any) -> None:
            self.turns += 1
            if self.turns == 4:
                over.set()
            raise ZeroDivisionError("by design")

    broken: Any = Broken()
    with caplog.at_level(logging.ERROR):
        serving.send_notices(broken, over)

    assert broken.turns == 4
    (record,) = [record for record in caplog.records if record.name == "nurture.cli"]
    assert record.exc_info is not None
