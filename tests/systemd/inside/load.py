"""Clients that ask without a pause and account for every request.

What may become of a request: its reply comes, or its connection ends in order (end of stream) before a byte of
the reply. All else is a fault: a refused connect, a reset, a wrong or a cut reply, no reply in time.
"""

import collections
import socket
import threading
import time

import host

CONNECTIONS = 16
REQUESTS_A_CONNECTION = 50  # Then it connects anew, so that there are always connects, too.
PAUSE_S = 0.002             # Between two requests of a connection: some 5,000 requests/s in all.
REPLY_S_MAX = 30  # The machine may be busy with other things.


class Load:
    """`with Load(port) as load:` asks meanwhile. Afterwards `load.count` has what came of it."""

    def __init__(self, port=host.ECHO_PORT):
        self._port = port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(number,))
                         for number in range(CONNECTIONS)]
        self.count = collections.Counter()
        self.longest_s = 0.0  # From a connect or a request to its end,
        self.meanwhile = 0    # and how many requests of others were answered: few if the machine stood still.

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        try:
            self.expect_answers(200)
        except host.Failed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def expect_answers(self, more):
        """Waits until so many more requests have been answered."""
        wanted = self.count["answered"] + more
        host.eventually(lambda: self.count["answered"] >= wanted or not self.alive(),
                        "{} more answers ({})".format(more, self.figures()))

    def alive(self):
        return any(thread.is_alive() for thread in self._threads)

    def faults(self):
        return {name: number for name, number in self.count.items()
                if name not in ("connects", "requests", "answered", "unanswered")}

    def expect_no_faults(self):
        """All is accounted for. Some requests may be unanswered, on connections that ended."""
        count = self.count
        host.expect(not self.faults(), "faults: {} ({})".format(self.faults(), self.figures()))
        host.expect(count["requests"] == count["answered"] + count["unanswered"],
                    "requests that are not accounted for: " + self.figures())

    def expect_nothing_noticed(self):
        self.expect_no_faults()
        host.expect(self.count["unanswered"] == 0, "connections ended: " + self.figures())

    def figures(self):
        count = self.count
        return "{} requests on {} connections: {} answered, {} unanswered as their connections ended, " \
            "{}; longest wait {:.2f} s (others had {} answers)".format(
                count["requests"], count["connects"], count["answered"], count["unanswered"],
                self.faults() or "none refused, reset or cut", self.longest_s,
                self.meanwhile)

    def _add(self, name):
        with self._lock:
            self.count[name] += 1

    def _client(self, number):
        serial = 0
        while not self._stop.is_set():
            began, answered = time.monotonic(), self.count["answered"]
            try:
                client = socket.create_connection(("127.0.0.1", self._port), timeout=REPLY_S_MAX)
            except OSError as error:
                self._add("connect: " + type(error).__name__)
                time.sleep(0.05)
                continue
            self._add("connects")
            self._waited(began, answered)
            with client:
                for _ in range(REQUESTS_A_CONNECTION):
                    serial += 1
                    if self._stop.is_set() or not self._ask(client, "{}-{}".format(number, serial)):
                        break
                    time.sleep(PAUSE_S)

    def _ask(self, client, text):
        """False if the connection is at its end."""
        request = text.encode() + b"\n"
        reply = b""
        began, answered = time.monotonic(), self.count["answered"]
        self._add("requests")
        try:
            client.sendall(request)
            while not reply.endswith(b"\n"):
                piece = client.recv(4096)
                if not piece:
                    self._add("a cut reply" if reply else "unanswered")
                    return False
                reply += piece
        except OSError as error:
            self._add("request: " + type(error).__name__)
            return False
        self._waited(began, answered)
        self._add("answered" if reply == request else "a wrong reply")
        return reply == request

    def _waited(self, began, answered):
        with self._lock:
            waited_s = time.monotonic() - began
            if waited_s > self.longest_s:
                self.longest_s, self.meanwhile = waited_s, self.count["answered"] - answered
