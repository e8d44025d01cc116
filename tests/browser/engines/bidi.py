"""WebDriver BiDi: commands and events over one WebSocket."""

import json
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.browser.engines.tab import EngineError

PATIENCE = 60
"""Seconds until a command that is not answered is given up."""


class Bidi:
    """One session. *listener* gets every event, on a thread of its own."""

    def __init__(self, socket: ClientConnection, listener: Callable[[str, dict[str, Any]], None]) -> None:
        self._socket = socket
        self._listener = listener
        self._answers: dict[int, SimpleQueue[dict[str, Any]]] = {}
        self._lock = Lock()
        self._count = 0
        self._reader = Thread(target=self._reads, daemon=True)
        self._reader.start()

    def does(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        with self._lock:
            self._count += 1
            number = self._count
            answer = self._answers[number] = SimpleQueue()
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        message = answer.get(timeout=PATIENCE)
        if message["type"] == "error":
            raise EngineError(f"{method}: {message['error']}: {message['message']}")
        return message["result"]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
        self._reader.join(PATIENCE)

    def _reads(self) -> None:
        try:
            while True:
                message = json.loads(self._socket.recv())
                if message["type"] == "event":
                    self._listener(message["method"], message["params"])
                else:
                    self._answers.pop(message["id"]).put(message)
        except ConnectionClosed:
            for answer in list(self._answers.values()):
                answer.put({"type": "error", "error": "closed", "message": "the browser has gone"})
