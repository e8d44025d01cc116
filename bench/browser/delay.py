"""A proxy that delays: every byte arrives later, without holding up others, and connecting takes one round trip more."""

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def delayed(port: int, round_trip: float) -> Iterator[int]:
    """Offer the server on *port* on another port, *round_trip* seconds further away."""
    started: concurrent.futures.Future[tuple[int, Callable[[], object]]] = concurrent.futures.Future()
    thread = threading.Thread(target=asyncio.run, args=[_offer(_Proxy(port, round_trip / 2), started)])
    thread.start()
    far_port, stop = started.result()
    try:
        yield far_port
    finally:
        stop()
        thread.join()


async def _offer(
    proxy: "_Proxy", started: "concurrent.futures.Future[tuple[int, Callable[[], object]]]"
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    started.set_result(
        (server.sockets[0].getsockname()[1], functools.partial(loop.call_soon_threadsafe, stopped.set))
    )
    await stopped.wait()
    server.close()  # connections that are still open end with the loop


class _Proxy:
    def __init__(self, port: int, one_way: float) -> None:
        self._port = port
        self._one_way = one_way

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one connection carries, both ways."""
        await asyncio.sleep(2 * self._one_way)  # the handshake of a far server; ours was local
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(self._deliver(on_the_way, writer))
        clock = asyncio.get_running_loop().time
        data = b"."
        while data:
            try:
                data = await reader.read(2**16)
            except OSError:
                data = b""
            on_the_way.put_nowait((clock() + self._one_way, data))
        await arriving

    async def _deliver(
        self, on_the_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(OSError):
            while True:
                due, data = await on_the_way.get()
                await asyncio.sleep(max(0.0, due - clock()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
