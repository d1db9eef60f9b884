"""The service as it runs: what systemd shows of it, who it is, what it may, what it logs."""

import os
import re

import host
from host import expect

STATUS = r"\d+ connections?, \d+ requests/s, reloaded \d+ times?"


def check_start():
    """systemctl start returns when every listener accepts."""
    host.configure()
    host.run("systemctl", "stop", host.SERVICE)
    host.run("systemctl", "start", host.SERVICE)
    for address in (host.GREET_PORT, host.ECHO_PORT, host.UNIX_SOCKET):
        expect(host.is_answered(address), "right after the start {} is not answered".format(address))
    expect(host.prop("Type") == "notify", "Type is " + host.prop("Type"))
    began, ended = (int(host.prop(name)) for name in
                    ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"))
    return "ready after {} ms".format((ended - began) // 1000)


def check_status_line():
    """systemctl status shows what the daemon does, and keeps it current."""
    host.configure()
    shown = host.run("systemctl", "status", "--no-pager", host.SERVICE)
    line = re.search(r'Status: "(.*)"', shown)
    expect(line, "systemctl status shows no Status:\n" + shown)
    expect(re.search(STATUS, line.group(1)), "Status: " + line.group(1))
    with host.connect(host.GREET_PORT):
        host.eventually(lambda: host.prop("StatusText").startswith("1 connection"),
                        "Status says 1 connection")
    return line.group(1)


def check_clients():
    """nc and bsock from inside, over TCP and over the Unix socket."""
    host.configure()
    for command in (["nc", "-N", "-w", "10", "127.0.0.1", "51717"],
                    ["nc", "-N", "-w", "10", "-U", host.UNIX_SOCKET],
                    ["bsock", "send", "127.0.0.1:51717", "hello"],
                    ["bsock", "send", "unix:" + host.UNIX_SOCKET, "hello"]):
        reply = host.run(*command, stdin="hello\n" if command[0] == "nc" else "")
        expect(reply == host.GREETING + "\n", "{} got {!r}".format(" ".join(command), reply))


def check_stop():
    """systemctl stop drains: an idle connection ends in order, the status is success."""
    host.configure()
    with host.connect(host.GREET_PORT) as client:
        host.ask(client)
        host.run("systemctl", "stop", host.SERVICE)
        expect(client.recv(1) == b"", "the idle connection did not end in order")
    expect(host.prop("Result") == "success", "Result is " + host.prop("Result"))
    expect(host.prop("ActiveState") == "inactive", "ActiveState is " + host.prop("ActiveState"))
    expect(not host.is_answered(host.UNIX_SOCKET), "the Unix socket is still answered")
    began, ended = (int(host.prop(name)) for name in
                    ("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic"))
    return "stopped after {} ms".format((ended - began) // 1000)


def check_units():
    """systemd finds nothing wrong with the installed units."""
    host.configure()
    # There is no man(1) here to look for the manual pages.
    said = host.run("systemd-analyze", "verify", "--man=no", "bsockd.service", "bsockd.socket")
    expect(said.strip() == "", said)


def exposure():
    report = host.run("systemd-analyze", "security", "--no-pager", host.SERVICE)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    expect(found, report)
    return float(found.group(1))


def check_exposure():
    """systemd-analyze security of the running service."""
    host.configure()
    expect(exposure() <= 1.4, "exposure {}".format(exposure()))
    return "exposure {}".format(exposure())


def check_dynamic_user():
    """The daemon is a user of its own that can open what it must, whichever back-end the kernel allows."""
    cursor = host.journal_cursor()
    host.configure()
    with open("/proc/{}/status".format(host.main_pid()), encoding="utf-8") as status:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in status)
    uid = int(fields["Uid"].split()[0])
    expect(61184 <= uid <= 65519, "uid {} is not a dynamic one".format(uid))
    expect(int(fields["CapEff"], 16) == 0, "capabilities: " + fields["CapEff"])
    expect(fields["Seccomp"] == "2", "no filter of system calls")
    expect(os.stat(host.UNIX_SOCKET).st_uid == uid, "the Unix socket is not the daemon's")
    # Another user may connect, since the configuration has it so.
    reply = host.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                     "nc", "-N", "-w", "10", "-U", host.UNIX_SOCKET, stdin="hello\n")
    expect(reply == host.GREETING + "\n", "nobody got {!r}".format(reply))
    backend = host.logged(cursor, r"workers? on (io_uring|epoll)")
    complaints = [entry["MESSAGE"] for entry in host.journal(cursor)
                  if int(entry["PRIORITY"]) <= 4 and entry.get("_UID") == str(uid)]
    expect(not complaints, "logged: " + "; ".join(complaints))
    return "uid {}, {}".format(uid, backend[-1]["MESSAGE"])


# What a handler's program may do: have children. And what it is refused, without being killed for it.
PROGRAM = """\
import os, subprocess
subprocess.run(["/usr/bin/wc", "-c"], input=b"x", check=True)
try:
    os.nice(-1)
except PermissionError:
    pass
else:
    raise SystemExit("it may take a higher priority")
"""


def check_programs():
    """In the service's sandbox programs can run, as handlers will: Python, with children of its own."""
    with open("/usr/local/bin/program.py", "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    host.configure()
    host.drop_in("[Service]\nExecStartPost=/usr/bin/python3 /usr/local/bin/program.py\n")
    host.run("systemctl", "restart", host.SERVICE)
    os.remove("/usr/local/bin/program.py")
    expect(host.is_active(), "the service is not active")


def check_low_port():
    """The drop-in of docs/operations.md for ports below 1024."""
    host.configure()
    host.write_config(echo="127.0.0.1:7")
    host.run("systemctl", "restart", host.SERVICE, status=1)
    host.drop_in("[Service]\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
                 "AmbientCapabilities=CAP_NET_BIND_SERVICE\n")
    host.run("systemctl", "restart", host.SERVICE)
    expect(host.is_answered(7), "port 7 is not answered")
    return "exposure {}".format(exposure())


# A message that the journal must have, by a part of its text.
MESSAGES = {
    "start": r"^bsockd .* starting",
    "ready": r"^ready",
    "reload": r"^reloaded",
    "reload refused": r"reload refused",
    "stop": r"^stopped",
}


def check_journal():
    """The journal has fields: MESSAGE_ID for what an operator waits for, LISTENER, REASON, PEER."""
    cursor = host.journal_cursor()
    host.configure()
    host.write_config(reply="another")
    host.run("systemctl", "reload", host.SERVICE)
    host.write_raw_config("listeners: {}\nnonsense: 1\n")
    host.run("systemctl", "reload", host.SERVICE, status=1)
    host.write_config()
    host.run("systemctl", "stop", host.SERVICE)

    ids = {}
    for name, pattern in MESSAGES.items():
        ids[name] = host.logged(cursor, pattern)[-1].get("MESSAGE_ID", "")
        expect(re.fullmatch("[0-9a-f]{32}", ids[name]),
               "MESSAGE_ID of {} is {!r}".format(name, ids[name]))
    expect(len(set(ids.values())) == len(ids), "the same MESSAGE_ID twice: {}".format(ids))
    host.logged(cursor, r"^listening on .*51717", LISTENER="main")
    host.logged(cursor, MESSAGES["ready"], PRIORITY="6", SYSLOG_IDENTIFIER="bsockd")
    shown = host.run("journalctl", "--no-pager", "--catalog", "MESSAGE_ID=" + ids["reload refused"])
    expect("Subject: " in shown, "the catalog does not explain `reload refused`:\n" + shown)
    return "{} kinds of messages".format(len(ids))


def check_journal_reason():
    """A request that is refused leaves a line with LISTENER and REASON."""
    host.configure()
    cursor = host.journal_cursor()
    with host.connect(host.ECHO_PORT) as client:
        client.sendall(b"x" * (2 << 20))  # Twice max_frame.
        while client.recv(1 << 16):
            pass
    return host.logged(cursor, "", LISTENER="echo", REASON="max_frame")[0]["MESSAGE"]
