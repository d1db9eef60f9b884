"""What the checks have in common: commands, systemd, the journal, the configuration, a client.

Whatever waits gives up after a while, so that what hangs is a failed check.
"""

import glob
import json
import os
import re
import shutil
import socket
import subprocess
import time

SERVICE = "bsockd.service"
CONFIG = "/etc/bsockd/bsockd.yaml"
DROP_INS = "/etc/systemd/system/{}.d"
GREETING = "I am the server, and I got your message"
GREET_PORT = 51717
ECHO_PORT = 51718
UNIX_SOCKET = "/run/bsockd/main.sock"
PATIENCE_S = 30

# What the checks serve. The drain is short because they restart often.
CONFIGURATION = """\
server: {{ drain_timeout: 5s }}
handlers:
  greet: {{ reply: "{reply}" }}
  echo: {{ builtin: echo }}
listeners:
  main:
    listen: [{main}]
    mode: 0666
    framing: line
    handler: greet
  echo:
    listen: {echo}
    framing: line
    handler: echo
"""


class Failed(Exception):
    """A check failed; the text says why."""


def expect(condition, why):
    if not condition:
        raise Failed(why)


def eventually(condition, what, seconds=PATIENCE_S):
    """Asks until `condition()` is true, and returns after how many seconds."""
    began = time.monotonic()
    while not condition():
        expect(time.monotonic() - began < seconds, "not within {} s: {}".format(seconds, what))
        time.sleep(0.01)
    return time.monotonic() - began


def run(*command, status=0, stdin="", timeout=PATIENCE_S):
    """Runs a command to its end and returns what it printed. `status` None: whichever it ends with."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout,
                              check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed("`{}` did not end within {} s".format(" ".join(command), timeout)) from error
    expect(status is None or done.returncode == status, "`{}` ended with {}: {}".format(
        " ".join(command), done.returncode, (done.stdout + done.stderr).strip()))
    return done.stdout + done.stderr


# systemd

def prop(name, unit=SERVICE):
    return run("systemctl", "show", "--value", "--property=" + name, unit).strip()


def main_pid():
    return int(prop("MainPID"))


def invocation():
    """Differs between any two starts of the service."""
    return prop("InvocationID")


def is_active(unit=SERVICE):
    return prop("ActiveState", unit) == "active"


def drop_in(text, unit=SERVICE):
    folder = DROP_INS.format(unit)
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/check.conf", "w", encoding="utf-8") as file:
        file.write(text)
    run("systemctl", "daemon-reload")


def forget_drop_ins():
    folders = [folder for folder in glob.glob("/etc/systemd/system/bsockd*.d")]
    for folder in folders:
        shutil.rmtree(folder)
    if folders:
        run("systemctl", "daemon-reload")


# The configuration

def write_config(reply=GREETING, main='"127.0.0.1:51717", "unix:/run/bsockd/main.sock"',
                 echo="127.0.0.1:51718"):
    write_raw_config(CONFIGURATION.format(reply=reply, main=main, echo=echo))


def write_raw_config(text):
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text)


def configure():
    """The service as installed, run with the checks' own configuration, newly started."""
    run("systemctl", "stop", "bsockd.socket", SERVICE)
    run("systemctl", "disable", "--quiet", "bsockd.socket")
    forget_drop_ins()
    write_config()
    run("systemctl", "reset-failed", SERVICE, status=None)
    run("systemctl", "start", SERVICE)


# The journal

def journal_cursor():
    last = run("journalctl", "--no-pager", "--quiet", "--lines=1", "--output=json")
    return json.loads(last)["__CURSOR"] if last.strip() else None


def journal(cursor):
    """What the service logged after `cursor`, a dictionary an entry."""
    run("journalctl", "--sync")
    text = run("journalctl", "--no-pager", "--quiet", "--output=json", "--all",
               "--unit=" + SERVICE, *(["--after-cursor=" + cursor] if cursor else []))
    return [json.loads(line) for line in text.splitlines()]


def journal_text(cursor, lines):
    return run("journalctl", "--no-pager", "--quiet", "--output=short-precise",
               "--lines={}".format(lines), *(["--after-cursor=" + cursor] if cursor else [])).strip()


def logged(cursor, pattern, **fields):
    """The entries since `cursor` whose text matches and that have these fields; waits for the first."""
    def found():
        return [entry for entry in journal(cursor)
                if re.search(pattern, entry.get("MESSAGE") or "")
                and all(entry.get(name) == value for name, value in fields.items())]
    eventually(found, "a line in the journal: {} {}".format(pattern, fields or ""), seconds=10)
    return found()


# A client

def connect(address):
    """`address`: a port of the loopback address, or the path of a Unix socket."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), timeout=PATIENCE_S)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_S)
    client.connect(address)
    return client


def ask(client, request="hello"):
    """One request and its reply, a line each, on an open connection."""
    client.sendall(request.encode() + b"\n")
    reply = b""
    while not reply.endswith(b"\n"):
        piece = client.recv(4096)
        expect(piece, "the connection ended instead of a reply")
        reply += piece
    return reply.decode().rstrip("\n")


def reply_of(address=GREET_PORT, request="hello"):
    with connect(address) as client:
        return ask(client, request)


def is_answered(address=GREET_PORT):
    try:
        return reply_of(address) != ""
    except (OSError, Failed):
        return False
