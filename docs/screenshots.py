"""Pictures of every page of the site, wide and narrow, light and dark, and what does not fit.

    python docs/screenshots.py OUT [PART ...]    pages whose address has a PART, all without one

Needs Chromium (`apt-get install chromium`). The site is built first. Each page is also asked
whether it is wider than the window; a table or a block of code that scrolls by itself is named too,
because some of it is out of sight.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTHS = 1280, 400
SCHEMES = "light", "dark"
TALLEST = 12000  # pixels of a page that are shown
BINARIES = "chromium", "chromium-browser", "google-chrome", "chrome"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
WHAT_IS_CUT = """
[...document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code, html")]
    .filter(each => each.scrollWidth > each.clientWidth + 1)
    .map(each => `${each.tagName.toLowerCase()} ${each.scrollWidth} > ${each.clientWidth}: `
                 + each.innerText.trim().slice(0, 50).replace(/\\s+/g, " "))
"""


class Browser:
    """A Chromium that is told what to do through a pair of pipes."""

    def __init__(self, process: subprocess.Popen[bytes], out: int, back: int) -> None:
        self.process, self.out, self.back = process, out, back
        self.count, self.rest, self.session = 0, b"", ""

    def __call__(self, method: str, **parameters: Any) -> Any:
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        return self.wait(lambda answer: answer.get("id") == self.count)["result"]

    def wait(self, wanted: Any) -> Any:
        while True:
            while b"\0" not in self.rest:
                self.rest += os.read(self.back, 1 << 20)
            answer, self.rest = self.rest.split(b"\0", 1)
            if wanted(found := json.loads(answer)):
                return found

    def value(self, expression: str) -> Any:
        return self(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )["result"].get("value")


@contextmanager
def browser() -> Iterator[Browser]:
    binary = next((found for name in BINARIES if (found := shutil.which(name))), None)
    if binary is None:
        sys.exit("screenshots: no Chromium here; install it, as by apt-get install chromium")
    to_read, out = os.pipe()
    back, to_write = os.pipe()
    # the child reads from its descriptor 3 and writes to 4
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_read, to_write)]

    def place() -> None:
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(  # noqa: S603 (a browser that was looked for)
            [binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(3, 4), preexec_fn=place,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        tab = Browser(process, out, back)
        target = tab("Target.createTarget", url="about:blank")["targetId"]
        tab.session = tab("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab("Page.enable")
        yield tab
        process.terminate()
        process.wait()


def photograph(tab: Browser, address: str, picture: Path, width: int, scheme: str) -> list[str]:
    """Save a picture of a page; what does not fit on it."""
    tab("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    resize(tab, width, 900)
    tab("Page.navigate", url=address)
    tab.wait(lambda event: event.get("method") == "Page.loadEventFired")
    height = min(tab.value("document.documentElement.scrollHeight"), TALLEST)
    resize(tab, width, height)
    shot = tab("Page.captureScreenshot", format="png")
    picture.write_bytes(base64.b64decode(shot["data"]))
    tab.value("localStorage.clear()")  # it keeps the scheme
    return tab.value(WHAT_IS_CUT) or []


def resize(tab: Browser, width: int, height: int) -> None:
    tab("Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=1, mobile=width < 600)  # fmt: skip


def main(out: Path, parts: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder, browser() as tab:
        site = Path(folder)
        subprocess.run(  # noqa: S603 (our own command)
            [sys.executable, "-m", "mkdocs", "build", "-q", "-d", folder], cwd=root, check=True
        )
        for page in sorted(site.rglob("index.html")):
            name = str(page.parent.relative_to(site)).replace("/", "-").replace(".", "index", 1)
            if parts and not any(part in name for part in parts):
                continue
            for width in WIDTHS:
                for scheme in SCHEMES:
                    picture = out / f"{name}-{width}-{scheme}.png"
                    cut = photograph(tab, page.as_uri(), picture, width, scheme)
                    if scheme == SCHEMES[0]:
                        print(f"{name} at {width}: {'fits' if not cut else ''}")
                        print(*(f"    {each}" for each in cut), sep="\n", end="\n" if cut else "")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
