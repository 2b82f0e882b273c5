"""A headless Chromium over its debugging protocol: pages, widths, colour schemes, print.

Nothing beyond the standard library: the browser is asked through a pipe.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find():
    """Return the path of a Chromium, None where there is none."""
    return os.environ.get("DINDIC_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page, driven through a pipe."""

    def __init__(self, program):
        """Start it, without a network."""
        self._home = tempfile.TemporaryDirectory()
        (to_read, self._write), (self._read, to_write) = os.pipe(), os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        flags += ["--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage"]
        flags += ["--proxy-server=127.0.0.1:9", f"--user-data-dir={self._home.name}"]

        def pipes():
            os.dup2(to_read, 13)
            os.dup2(to_write, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        self._process = subprocess.Popen(
            [program, *flags],
            preexec_fn=pipes,  # noqa: PLW1509 - the browser reads 3 and writes 4, and no thread runs
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._count, self._rest, self.events = 0, b"", []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def close(self):
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._home.cleanup()

    def _message(self):
        while b"\0" not in self._rest:
            read = os.read(self._read, 1 << 16)
            assert read, "the browser has ended"
            self._rest += read
        one, _, self._rest = self._rest.partition(b"\0")
        return json.loads(one)

    def ask(self, method, **params):
        """Send a command and return its result; what happens meanwhile goes into `events`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path, *, width=1280, scheme="light", medium="screen"):
        """Open a file and wait until it is loaded."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=medium, features=features)
        self.ask("Page.navigate", url=Path(path).resolve().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._message())

    def evaluate(self, expression):
        """Return the value of an expression of JavaScript, awaited."""
        found = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def requests(self):
        """Return the addresses that were asked for, but for the page itself and its data."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        found = [e["request"]["url"] for e in sent if e.get("type") != "Document"]
        return [url for url in found if not url.startswith("data:")]

    def errors(self):
        """Return what the console has, of errors and warnings."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [e["params"] for e in self.events if e.get("method") in kinds]

    def picture(self, path):
        """Write the whole page as a PNG file."""
        from base64 import b64decode

        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(b64decode(found["data"]))
