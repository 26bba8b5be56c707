"""Prefect from outside: the repository's `python -m flows` as processes of their own. Nothing here imports it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nurture.errors import FileFault

if TYPE_CHECKING:
    from nurture.settings import Settings


def room() -> Path:
    """The folder that holds flows/: this one, or the one that this program was cloned with. Raises FileFault."""
    places = (Path.cwd(), Path(__file__).parents[3])
    found = next((place for place in places if (place / "flows" / "__main__.py").is_file()), None)
    if found is None:
        raise FileFault("there is no flows/ here; run this in the folder of the repository")
    return found


def command(*words: str) -> list[str]:
    """What starts `python -m flows` with these words."""
    return [sys.executable, "-m", "flows", *words]


def environment(given: Settings) -> dict[str, str]:
    """This process's own, with what the settings say of Prefect where Prefect's own variables say nothing."""
    listen = given.listen("prefect")
    api = f"{listen.url}/api"
    said = {
        "PREFECT_SERVER_API_HOST": listen.host,
        "PREFECT_SERVER_API_PORT": str(listen.port),
        "PREFECT_API_URL": api,
        "PREFECT_UI_API_URL": api,
    }
    if given.prefect_auth is not None:
        auth = given.prefect_auth.get_secret_value()
        said |= {"PREFECT_SERVER_API_AUTH_STRING": auth, "PREFECT_API_AUTH_STRING": auth}
    path = os.pathsep.join(filter(None, (str(room()), os.environ.get("PYTHONPATH"))))
    return {**said, **os.environ, "PYTHONPATH": path}


def flows(given: Settings, *words: str) -> int:
    """Run it to its end; its output is passed through. The exit code."""
    return subprocess.run(command(*words), env=environment(given)).returncode


def become(given: Settings, *words: str) -> NoReturn:
    """Be it from here on: a parent that waits for it would hold its memory for nothing."""
    sys.stdout.flush()
    os.execve(sys.executable, command(*words), environment(given))
