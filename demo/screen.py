"""What the demonstration shows: headings, events and one live line; without a terminal a plain line every second."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time

PLAIN_EVERY_S = 1.0

RESET, BOLD, DIM, GREEN, YELLOW, RED, CYAN = "0", "1", "2", "32", "33", "31", "36"


class Screen:
    """Writes to standard output from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and "NO_COLOR" not in os.environ
        self._status = ""
        self._last_plain = 0.0
        self.began = time.monotonic()

    def paint(self, text: str, *styles: str) -> str:
        return f"\x1b[{';'.join(styles)}m{text}\x1b[{RESET}m" if self._colour and styles else text

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self.began)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def heading(self, title: str, *sentences: str) -> None:
        lines = ["", self.paint(title, BOLD), *(self.paint(sentence, DIM) for sentence in sentences)]
        self._print("\n".join(lines))

    def event(self, text: str, style: str = CYAN) -> None:
        self._print(f"{self._clock():>6}  {self.paint('▸ ' + text, style)}")

    def line(self, text: str = "") -> None:
        self._print(text)

    def status(self, text: str) -> None:
        """The live line: replaced in place on a terminal, otherwise printed once a second."""
        with self._lock:
            text = f"{self._clock():>6}  {text}"
            if self._live:
                width = shutil.get_terminal_size().columns
                self._status = text[: width - 1]
                sys.stdout.write(f"\r\x1b[K{self._status}")
                sys.stdout.flush()
            elif time.monotonic() - self._last_plain >= PLAIN_EVERY_S:
                self._last_plain = time.monotonic()
                print(text, flush=True)

    def clear_status(self) -> None:
        """Takes the live line away."""
        with self._lock:
            if self._live and self._status:
                sys.stdout.write("\r\x1b[K")
                sys.stdout.flush()
                self._status = ""

    def _print(self, text: str) -> None:
        with self._lock:
            if self._live:
                sys.stdout.write("\r\x1b[K")
            print(text)
            if self._live and self._status:
                sys.stdout.write(self._status)
            sys.stdout.flush()
