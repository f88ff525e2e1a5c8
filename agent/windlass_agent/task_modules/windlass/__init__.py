"""Metrics of a task of windlass: `import windlass; windlass.log(loss=0.3, step=17)`.

For any Python 3, without dependencies, on the PYTHONPATH of every task. Nothing here ever makes a task fail or
wait: outside of a task, or when nobody listens, values are dropped. From a shell:
`python3 -m windlass loss=0.3 step=17`.
"""

import atexit
import math
import os
import pkgutil
import socket
import sys
import threading
import time

# Where windlass itself is installed, `windlass.jobs.v1` and the rest are found beside this.
__path__ = pkgutil.extend_path(__path__, __name__)
__all__ = ["log"]

_MAX_DATAGRAM = 16 << 10
_MAX_KEPT = 1000
_LAST_SECONDS = 1.0


class _Sender:
    def __init__(self):
        self.lock = threading.Lock()
        self.pid = os.getpid()
        self.socket = None
        self.kept = []
        self.warned = False

    def put(self, line):
        with self.lock:
            if len(self.kept) >= _MAX_KEPT:
                del self.kept[0]
                self.warn("metrics come faster than they are taken: some are lost")
            self.kept.append(line)
            self.flush()

    def flush(self):
        """Send what there is, as many lines at once as fit. Whether all is gone."""
        while self.kept:
            size = count = 0
            for line in self.kept:
                size += len(line)
                if count and size > _MAX_DATAGRAM:
                    break
                count += 1
            if not self.send(b"".join(self.kept[:count])):
                return False
            del self.kept[:count]
        return True

    def send(self, data):
        # The second try is for a socket that was made anew.
        for _ in range(2):
            try:
                if self.socket is None:
                    self.socket = _connected(os.environ["WINDLASS_METRICS"])
                self.socket.send(data)
                return True
            except BlockingIOError:
                return False
            except OSError:
                self.close()
        return False

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def warn(self, text):
        if not self.warned:
            self.warned = True
            sys.stderr.write("windlass: %s\n" % text)

    def finish(self):
        until = time.monotonic() + _LAST_SECONDS
        with self.lock:
            while not self.flush() and time.monotonic() < until:
                time.sleep(0.01)


def _connected(path):
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if len(os.fsencode(path)) < 100:
            made.connect(path)
        else:
            # The address of a socket may have 107 bytes.
            folder = os.open(os.path.dirname(path), os.O_RDONLY)
            try:
                made.connect("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
            finally:
                os.close(folder)
    except BaseException:
        made.close()
        raise
    return made


_sender = _Sender()


def log(values=None, step=None, **more):
    """Send values of this task: numbers by their names, as a mapping or as keywords.

    Args:
        values: a mapping, for names such as "eval/loss" that are no keywords.
        step: what they are values at, a whole number from 0.
        more: values by keyword.

    What is no number is left out, and the first of that is told on stderr: to train goes before to measure.
    """
    global _sender
    if _sender.pid != os.getpid():
        # A fork has its parent's lines and lock.
        _sender = _Sender()
    try:
        said = dict(values or {}, **more)
    except (TypeError, ValueError):
        _sender.warn(
            "values are left out that are no mapping of names to numbers: %.100r" % (values,)
        )
        said = more
    pairs = ["%s=%r" % (name, number) for name, number in map(_number, said.items()) if name]
    if pairs and step is not None:
        name, number = _number(("step", step))
        pairs += ["step=%d" % number] if name and math.isfinite(number) else []
    if pairs and "WINDLASS_METRICS" in os.environ:
        _sender.put((" ".join(pairs) + "\n").encode("utf-8", "replace"))


def _number(item):
    """Name and value as a number; no name where it is none, which libraries tell by errors of any kind."""
    name, value = item
    try:
        return name, float(value)
    except Exception:
        _sender.warn("%s is left out, which is no number: %.100s" % (name, type(value).__name__))
        return "", 0.0


def _finish():
    if _sender.pid == os.getpid():
        _sender.finish()


atexit.register(_finish)
