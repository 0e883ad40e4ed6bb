"""Log lines in the form of glog, which Caffe's log parsers read."""

from __future__ import annotations

import logging
import time

from minidl.errors import legible

LEVELS = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)  # -minloglevel 0 to 3


class GlogFormatter(logging.Formatter):
    """``I0210 13:39:22.381027 25210 loop.py:204] text``: level, month and day, time, process."""

    def format(self, record: logging.LogRecord) -> str:
        letter = "IWEF"[sum(record.levelno > level for level in LEVELS[:3])]
        day = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        micros = int(record.created % 1 * 1e6)
        place = f"{record.filename}:{record.lineno}"
        text = legible(super().format(record))
        return f"{letter}{day}.{micros:06d} {record.process:5d} {place}] {text}"
