"""`unshare -rm python -m tests.faults.full_disk FOLDER BYTES WORDS…`: `nurture WORDS` while FOLDER is a full disk.

What FOLDER holds is copied to a disk of BYTES in memory, which is filled to the brim; then the command runs, then the
filling is taken away and the command runs again. Prints a line of JSON for each run, and what FOLDER holds is copied back.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import traceback
from pathlib import Path


def main() -> None:
    from nurture.cli import main as nurture

    folder, size, words = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    aside = folder.with_name(f"{folder.name}-aside")
    shutil.copytree(folder, aside)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    shutil.copytree(aside, folder, dirs_exist_ok=True)
    filling = folder / "filling"
    for full in (True, False):
        if full:
            _fill(filling)
        else:
            filling.unlink()
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                code = nurture(words)
            except Exception:
                traceback.print_exc()
                code = 70
        sys.stdout.write(json.dumps({"code": code, "said": said.getvalue()}) + "\n")
        sys.stdout.flush()
        if full:
            shutil.copytree(folder, f"{aside}-full", ignore=shutil.ignore_patterns("filling"))
    shutil.copytree(folder, f"{aside}-after")


def _fill(filling: Path) -> None:
    with filling.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 4096)


if __name__ == "__main__":
    main()
