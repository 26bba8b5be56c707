"""HTML and SVG as PNG by a Chromium of this machine; nothing is fetched from the network."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from html import escape
from pathlib import Path

from nurture.errors import FileFault

#: What a browser may be called, in the order in which they are tried.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE = 60.0
#: Everything that would leave this machine is refused, twice: no name is known, and the only proxy is nobody.
_OFFLINE = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; script-src 'nonce-measure'"
#: The page around a message: a frame in which no script of the message runs, as tall as what it shows.
_FRAME = """<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">
<style>html,body{{margin:0;background:#fff}}iframe{{display:block;border:0;width:{width}px;height:{height}px}}</style>
<iframe sandbox="allow-same-origin" scrolling="no" srcdoc="{page}"></iframe>
<script nonce="measure">addEventListener("load", () => {{
  const inside = document.querySelector("iframe").contentDocument;
  inside.documentElement.style.overflow = "hidden";
  document.documentElement.dataset.tall = Math.max(inside.documentElement.scrollHeight, inside.body.scrollHeight);
  document.documentElement.dataset.wide = inside.documentElement.scrollWidth;
}})</script>
"""
_TALL = re.compile(r'data-tall="(\d+)"')
#: Pixels beyond which no picture goes.
_TALLEST = 16_000


def browser() -> str:
    """The browser of this machine. Raises FileFault with what to install."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise FileFault(
        f"a picture needs a browser on the PATH ({', '.join(BROWSERS[:3])}), and there is none; "
        "install Chromium, or ask for --as html or --as svg, which need none"
    )


def page_picture(html: str, width: int, *, scale: float = 2.0) -> bytes:
    """The whole page at `width` CSS pixels, as PNG of `scale` times as many. Raises FileFault."""
    with tempfile.TemporaryDirectory(prefix="nurture-") as place:
        page = Path(place) / "page.html"
        page.write_text(_frame(html, width, 100), "utf-8")
        dumped = _run(Path(place), ["--dump-dom", f"--window-size={max(width, 500)},800", page.as_uri()]).decode()
        tall = _TALL.search(dumped)
        if tall is None:
            raise FileFault("the browser did not say how tall the message is; look at it with --as html")
        height = min(int(tall[1]), _TALLEST)
        page.write_text(_frame(html, width, height), "utf-8")
        return _shot(Path(place), page, width, height, scale)


def svg_picture(svg: str, *, scale: float = 2.0) -> bytes:
    """An SVG of ours as PNG. Raises FileFault."""
    size = re.search(r'width="(\d+)" height="(\d+)"', svg)
    assert size is not None
    width, height = int(size[1]), int(size[2])
    scale = min(scale, max(0.25, _TALLEST / max(width, height)))
    with tempfile.TemporaryDirectory(prefix="nurture-") as place:
        page = Path(place) / "page.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><style>body{{margin:0}}svg{{display:block}}</style>{svg}', "utf-8"
        )
        return _shot(Path(place), page, width, height, scale)


def _frame(html: str, width: int, height: int) -> str:
    return _FRAME.format(policy=_POLICY, width=width, height=height, page=escape(html))


def _shot(place: Path, page: Path, width: int, height: int, scale: float) -> bytes:
    picture = place / "picture.png"
    size = ["--hide-scrollbars", f"--window-size={width},{height}", f"--force-device-scale-factor={scale:g}"]
    _run(place, [*size, f"--screenshot={picture}", page.as_uri()])
    if not picture.exists():
        raise FileFault(f"{browser()} made no picture; ask for --as html or --as svg")
    return picture.read_bytes()


def _run(place: Path, words: list[str]) -> bytes:
    """What the browser prints. Without its sandbox, which needs rights that a container may lack: the page runs no
    script but ours and has no network."""
    command = [browser(), "--headless", "--disable-gpu", "--no-sandbox", f"--user-data-dir={place / 'profile'}"]
    try:
        done = subprocess.run([*command, *_OFFLINE, *words], capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise FileFault(f"{command[0]} does not answer ({problem}); ask for --as html or --as svg") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise FileFault(f"{command[0]} ended with {done.returncode}: {said[-1] if said else 'no word'}")
    return done.stdout
