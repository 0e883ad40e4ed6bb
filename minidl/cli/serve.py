"""Serve a page on which jobs are seen, started, steered and compared.

    minidl serve
    minidl serve runs --port 9000

It shows the job folders below ROOT, and starts commands there. Ctrl-C ends the server; jobs go on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser, whole
from minidl.errors import UsageError

PORT = 8080
CORES_PER_SLOT = 4


def add_arguments(parser: Parser) -> None:
    parser.add_argument("root", nargs="?", default=".", metavar="ROOT", help="folder (default: .)")
    parser.add_argument(
        "--port", type=whole(0, 65535), metavar="N", help="8080, or the next that is free"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="to listen at (127.0.0.1)"
    )
    parser.add_argument(
        "--token", metavar="TEXT", help="that browsers have to show; made up for another --host"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="one more name for this server in addresses; may be given again",
    )
    parser.add_argument(
        "--data-root",
        action="append",
        default=[],
        metavar="DIR",
        help="folder from which pictures may be taken (default: ROOT and the current one)",
    )
    parser.add_argument(
        "--slots", type=whole(1, 64), metavar="N", help="trainings at a time on the CPU"
    )
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument("--demo", action="store_true", help="train LeNet on digits, to look at")


def run(args: Namespace) -> int:
    import minidl

    try:
        from minidl.web import app, machine, safety, serving, site
    except ImportError as error:
        raise UsageError(
            f"the page needs packages that are not installed ({error.name})",
            where="minidl serve",
            fix="pip install 'minidl[web]'",
        ) from None
    root = _root(args.root)
    token = _token(args, safety.is_loopback(args.host))
    machine.spare()
    listening = serving.bound(args.host, PORT if args.port is None else args.port, bool(args.port))
    port = listening.getsockname()[1]
    rules = safety.Rules(safety.hosts(args.host, args.allow_host), port, token)
    options = site.Options(
        root,
        (sys.executable, "-m", "minidl"),
        data_roots=_data_roots(args),
        slots=args.slots or max(1, (os.cpu_count() or 1) // CORES_PER_SLOT),
        allow_python=args.allow_python,
        helper=(sys.executable, "-m", "minidl.cli.answers"),
        demo=args.demo,
        version=minidl.__version__,
    )
    address = _address(args.host, port, token)
    with contextlib.closing(listening), serving.alone(root, address.partition("?")[0]):
        print(f"minidl serve: {address}\n  jobs below {root}; Ctrl-C ends the server", flush=True)
        if not args.no_open:
            _open(address)
        serving.serve(app.make(site.Site(options), rules), listening)
    print("the server has ended; jobs that run go on", flush=True)
    return 0


def _root(given: str) -> Path:
    """Return the folder to serve; for that of a single job, the one around it."""
    from minidl.runs import job, store

    root = Path(given).resolve()
    if not root.is_dir():
        raise UsageError("there is no such folder", where=given)
    if any((root / name).is_file() for name in (job.JOB, store.EVENTS)):
        return root.parent
    return root


def _data_roots(args: Namespace) -> tuple[Path, ...]:
    found = []
    for name in args.data_root or ["."]:
        path = Path(name).resolve()
        if not path.is_dir():
            raise UsageError("there is no such folder", where=f"--data-root {name}")
        found.append(path)
    return tuple(found)


def _token(args: Namespace, at_home: bool) -> str:
    """Return the token: the given one, or for others than this machine a new one."""
    if args.token is not None:
        usable = args.token.isascii() and args.token.replace("-", "").replace("_", "").isalnum()
        if not usable or len(args.token) < 8:
            raise UsageError("--token is too simple", expected="8 letters and digits or more")
        return str(args.token)
    return "" if at_home else secrets.token_urlsafe(24)


def _address(host: str, port: int, token: str) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _open(address: str) -> None:
    """Open a browser, if a person at a display started the server."""
    shown: Any = sys.platform in ("darwin", "win32")
    shown = shown or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.stdout.isatty() and shown:
        import webbrowser

        webbrowser.open(address)
