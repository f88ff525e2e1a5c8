"""Stand-ins for `python -m windlass_server` and `python -m windlass_agent`.

`install` writes them into a directory that goes first on PYTHONPATH. They tell what happens to them
on standard output, one line each, and behave as `FAKE_SERVER` and `FAKE_AGENT` say: `refuse` exits
with 2, `stubborn` ignores SIGTERM, `unready` never becomes healthy.
"""

from pathlib import Path

_COMMON = """
import ctypes, os, signal, sys, threading

NAME = {name!r}
MODE = os.environ.get("FAKE_" + NAME.upper(), "")
PARENT = os.getppid()
ARGS = dict(zip(sys.argv[1::2], sys.argv[2::2]))


def tell(text):
    sys.stdout.write(f"{{NAME}} {{text}}\\n")
    sys.stdout.flush()


def on_term(*_):
    if MODE == "stubborn":
        tell("does not want to end")
        return
    if os.getppid() != PARENT:
        tell("orphaned")
    tell("stopped")
    os._exit(0)


signal.signal(signal.SIGTERM, on_term)
if sys.argv[1] == "devices":
    if MODE == "no-such-gpu":
        sys.stderr.write("windlass agent: --simulate-gpus: '8xFOO' is not COUNTxTYPE\\n")
        sys.exit(2)
    sys.exit(0)
assert "--die-with-parent" in sys.argv
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if MODE == "refuse":
    sys.stderr.write(f"windlass {{NAME}}: bad configuration\\n")
    sys.exit(2)
database = "yes" if os.environ.get("WINDLASS_DATABASE_URL") else "no"
user_token = "yes" if os.environ.get("WINDLASS_TOKEN") else "no"
tell(f"started {{os.getpid()}} join={{os.environ.get('WINDLASS_JOIN_TOKEN')}} "
     f"database={{database}} user_token={{user_token}} args={{' '.join(sys.argv[1:])}}")
"""

_SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if MODE == "unready" else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


os.makedirs(ARGS["--data-dir"], exist_ok=True)
with open(os.path.join(ARGS["--data-dir"], "admin.token"), "w") as file:
    file.write("wl_test\\n")
host, _, port = ARGS["--http"].rpartition(":")
ThreadingHTTPServer.allow_reuse_address = True
ThreadingHTTPServer((host, int(port)), Health).serve_forever()
"""

_AGENT = """
data_dir = sys.argv[sys.argv.index("--data-dir") + 1]
os.makedirs(data_dir, exist_ok=True)
with open(os.path.join(data_dir, "node.json"), "w") as file:
    file.write('{"node_id": "node-1"}')
tell("joined")
while True:
    signal.pause()
"""


def install(folder: Path) -> None:
    """Write both programs as packages into a directory."""
    for name, body in (("server", _SERVER), ("agent", _AGENT)):
        package = folder / f"windlass_{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(_COMMON.format(name=name) + body)
