"""
The line protocol of the Python sides, `python_side.py` and `floor_side.py`; `npm_side.mjs` speaks the same.

One JSON object a line comes in on stdin, one goes out on stdout:

    {"do": "hold", "file", "count"}      save images of *file* until there are *count*
                                         → {"records": [{"id", "token", "proof"}, …]}, with proofs of now
    {"do": "know", "ids"}                these are the ids that "look" asks for                       → {}
    {"do": OPERATION, "file", "count", "callers", "at"}
                                         wait until *at* (seconds since 1970), then *count* calls by *callers* threads
                                         → {"start", "end", "processor"}, in seconds

The operations "save", "update" and "delete" go through the same images: the second and the third change and remove what the
first has saved. The processor time covers deferred work, too: what a side puts off is done before it answers.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

Operation = Callable[[str, int], object]
"""One call, given the file that is meant and the number of the call within its batch."""


def serve(
    operations: Mapping[str, Operation],
    commands: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]],
    finish: Callable[[], None],
) -> None:
    """Answer commands until stdin ends. *finish* does what the operations have put off."""
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] in commands:
            answer = commands[command["do"]](command)
        else:
            answer = _timed(operations[command["do"]], command, finish)
        print(json.dumps(answer), flush=True)


def _timed(operation: Operation, command: dict[str, Any], finish: Callable[[], None]) -> dict[str, Any]:
    time.sleep(max(0.0, command["at"] - time.time()))
    processor, start = time.process_time(), time.time()
    _call(operation, command["file"], command["count"], command["callers"])
    end = time.time()
    finish()
    return {"start": start, "end": end, "processor": time.process_time() - processor}


def _call(operation: Operation, file: str, count: int, callers: int) -> None:
    if callers == 1:
        for number in range(count):
            operation(file, number)
        return
    numbers = itertools.count()  # its next() is one step, so no two threads get the same number
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while (number := next(numbers)) < count:
                operation(file, number)
        except BaseException as error:  # noqa: BLE001 - raised below, where it ends the program
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
