"""Constant requests to a proxy or a service while something changes."""

import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException


class Load:
    """Constant requests in threads. `ways`: where to, and how many requests over one connection."""

    def __init__(self, *ways: tuple[str, int]) -> None:
        self.answers: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=way) for way in ways]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, where: str, requests_per_connection: int) -> None:
        while not self._stop.is_set():
            connection = HTTPConnection(where, timeout=5)
            try:
                for _ in range(requests_per_connection):
                    connection.request("GET", "/", headers={"Host": "shop.example"})
                    answer = connection.getresponse()
                    answer.read()
                    self.answers[f"{answer.status}"] += 1
                    time.sleep(0.002)
            except OSError as error:
                self.answers[f"{where}: {error}"] += 1
            except HTTPException as error:
                self.answers[f"{where}: {error!r}"] += 1
            finally:
                connection.close()
