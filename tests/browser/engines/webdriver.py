"""WebDriver: one command, one HTTP request."""

import json
from http.client import HTTPConnection
from typing import Any

from tests.browser.engines.tab import EngineError

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name under which WebDriver hands elements about."""


class Session:
    """A browser that a driver at *port* has started."""

    def __init__(self, port: int, capabilities: dict[str, Any]) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=90)
        self._path = "/session"
        new = self.does("POST", "", capabilities={"alwaysMatch": capabilities})
        self._path = f"/session/{new['sessionId']}"
        self.version: str = new["capabilities"]["browserVersion"]
        self.does("POST", "/timeouts", script=20_000, pageLoad=60_000)

    def does(self, method: str, command: str, **parameters: Any) -> Any:
        """Give a command and return its result."""
        body = json.dumps(parameters) if method == "POST" else None
        self._connection.request(method, self._path + command, body, {"content-type": "application/json"})
        with self._connection.getresponse() as response:
            value = json.load(response)["value"]
        if response.status != 200:
            raise EngineError(f"{command}: {value['error']}: {value['message']}")
        return value

    def close(self) -> None:
        """End the browser."""
        self.does("DELETE", "")
        self._connection.close()
