"""A TCP port in front of a server, which lets the conversation pass or spoils it, at any moment.

Runs in a thread of its own. Every change returns once it is in force, for the connections that are open, too.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.proof.wire import Ahead, Wire

HOST = "127.0.0.1"
CHUNK = 65536
# Closed so, a socket sends RST at once: the other side learns that the connection broke, not that it ended.
BREAK = struct.pack("ii", 1, 0)

Result = TypeVar("Result")


@dataclass(eq=False)
class Connection:
    """One conversation: who called, and the server behind us."""

    caller: asyncio.StreamWriter
    server: asyncio.StreamWriter
    wire: Wire | None
    passed_back: int = 0  # bytes to the caller since a limit was set

    def break_off(self) -> None:
        for writer in (self.caller, self.server):
            found = writer.get_extra_info("socket")
            if found is not None and found.family == socket.AF_INET:
                with suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, BREAK)
            writer.transport.abort()


@dataclass
class Proxy:
    """`target` is a port of this machine or a unix socket; `speaks_postgres` lets `cut_commits` work."""

    name: str
    target: int | Path
    speaks_postgres: bool = False
    port: int = 0
    cut: int = 0  # how many conversations we have broken off
    _loop: asyncio.AbstractEventLoop = field(init=False, repr=False)
    _thread: threading.Thread = field(init=False, repr=False)
    _listener: asyncio.Server | None = None
    _open: set[Connection] = field(default_factory=set, repr=False)
    _flowing: asyncio.Event = field(init=False, repr=False)
    _ending: bool = False
    _delay: float = 0.0
    _limit: int | None = None
    _commits: tuple[str, int] = ("", 0)

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {self.name}", daemon=True)
        self._thread.start()
        self._run(self._begin())

    def stop(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What may go wrong. Each lasts until `heal`.

    def heal(self) -> None:
        """Everything passes again; what was held back is delivered now."""
        self._run(self._heal())

    def refuse(self) -> None:
        """Nobody listens on the port, and the connections that there were are broken."""
        self._run(self._stop_listening())

    def freeze(self) -> None:
        """Whoever calls is accepted, and then there is silence in both directions. Nothing is lost."""
        self._call(self._flowing.clear)

    def slow(self, seconds: float) -> None:
        """Each piece of a conversation takes so long."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def reset_after(self, count: int) -> None:
        """Each conversation is broken once so many more bytes have reached the caller, 0 at the first."""

        def limit() -> None:
            self._limit = count
            for connection in self._open:
                connection.passed_back = 0

        self._call(limit)

    def cut_commits(self, when: str, count: int) -> None:
        """Break the next `count` conversations at a commit: "before" the server hears of it, or "after" it was done
        and before its reply reaches the caller."""
        assert self.speaks_postgres, f"{self.name} has no commits"
        assert when in ("before", "after"), when
        self._call(lambda: setattr(self, "_commits", (when, count)))

    # From here on: inside the loop's thread.

    async def _begin(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        await self._listen()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, HOST, self.port, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _heal(self) -> None:
        self._delay, self._limit, self._commits = 0.0, None, ("", 0)
        self._flowing.set()
        if self._listener is None:
            await self._listen()

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._open):
            self._break_off(connection)

    async def _end(self) -> None:
        """Every conversation ends by itself: asyncio reports a cancelled one as a failure."""
        self._ending = True
        await self._stop_listening()
        self._flowing.set()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        await asyncio.sleep(0.01)  # a transport that was aborted closes its socket at the loop's next turns

    async def _serve(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):  # either side went away
                await self._flowing.wait()
                if not self._ending:
                    await self._carry(reader, caller, *await self._connect())
        finally:
            caller.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        caller: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        connection = Connection(caller, server, Wire() if self.speaks_postgres else None)
        self._open.add(connection)
        try:
            await asyncio.gather(self._there(connection, reader), self._back(connection, from_server))
        finally:
            self._open.discard(connection)
            server.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(HOST, self.target)

    async def _there(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        async for data in self._pieces(reader):
            for part, commits in connection.wire.from_client(data) if connection.wire else [(data, False)]:
                when, left = self._commits
                if commits and left:
                    self._commits = (when, left - 1)
                    if when == "before":
                        self._break_off(connection)
                        return
                    assert connection.wire is not None
                    connection.wire.swallow = Ahead.COMMIT
                connection.server.write(part)
            await connection.server.drain()
        if connection.server.can_write_eof():
            connection.server.write_eof()

    async def _back(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        async for data in self._pieces(reader):
            heard = connection.wire.from_server(data) if connection.wire else data
            if connection.wire and connection.wire.swallow is Ahead.DONE:
                self._break_off(connection)
                return
            if self._limit is not None and connection.passed_back + len(heard) >= self._limit:
                connection.caller.write(heard[: self._limit - connection.passed_back])
                await asyncio.sleep(0.01)  # so that the bytes leave before the break
                self._break_off(connection)
                return
            connection.passed_back += len(heard)
            connection.caller.write(heard)
            await connection.caller.drain()
        if connection.caller.can_write_eof():
            connection.caller.write_eof()

    async def _pieces(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """What arrives, at the speed that is in force. What was read before a freeze is held back, too."""
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flowing.wait()
            yield data

    def _break_off(self, connection: Connection) -> None:
        self.cut += 1
        connection.break_off()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, act: Callable[[], object]) -> None:
        async def once() -> None:
            act()

        self._run(once())


@contextmanager
def running_proxy(name: str, target: int | Path, *, speaks_postgres: bool = False) -> Iterator[Proxy]:
    proxy = Proxy(name, target, speaks_postgres=speaks_postgres)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
