"""systemctl restart, and the end of the process without anyone's asking."""

import os
import signal
import time

import host
from host import expect
from load import Load

RESTARTS = 20


def check_restarts_under_load():
    """Restarts under load: no connect is refused, and every request is accounted for."""
    host.configure()
    took = []
    with Load() as load:
        for _ in range(RESTARTS):
            invocation = host.invocation()
            began = time.monotonic()
            host.run("systemctl", "restart", host.SERVICE)
            took.append(time.monotonic() - began)
            expect(host.invocation() != invocation, "it is the same run")
            load.expect_answers(100)
    load.expect_no_faults()
    return "{} restarts of {:.2f} s on average, {:.2f} s at most; {}".format(
        RESTARTS, sum(took) / len(took), max(took), load.figures())


def check_restart_takes_changes():
    """A restart with another file: the addresses that stay are kept, the others open and close."""
    host.configure()
    with Load() as load:
        host.write_config(main='"127.0.0.1:51719", "unix:/run/bsockd/other.sock"')
        host.run("systemctl", "restart", host.SERVICE)
        load.expect_answers(100)
    for address in (51719, "/run/bsockd/other.sock"):
        expect(host.is_answered(address), "the new address {} is not answered".format(address))
    expect(not host.is_answered(host.GREET_PORT), "the old address is still open")
    expect(not os.path.exists(host.UNIX_SOCKET), "the Unix socket's file is still there")
    load.expect_no_faults()
    stored = host.prop("NFileDescriptorStore")
    expect(stored == "3", "{} descriptors are stored for 3 addresses".format(stored))
    return load.figures()


def check_kill():
    """kill -9: systemd starts it again, and no connect is refused meanwhile."""
    host.configure()
    pid = host.main_pid()
    os.kill(pid, signal.SIGKILL)
    seconds = host.eventually(host.is_answered, "answers after kill -9")
    host.eventually(lambda: host.main_pid() not in (0, pid), "another process")
    expect(host.prop("NRestarts") == "1", "NRestarts is " + host.prop("NRestarts"))
    return "answers again after {:.2f} s".format(seconds)


def check_kill_refuses_nobody():
    """kill -9 under load: connections break, but their port stays open."""
    host.configure()
    with Load() as load:
        os.kill(host.main_pid(), signal.SIGKILL)
        load.expect_answers(200)
    refused = {name: number for name, number in load.count.items() if name.startswith("connect:")}
    expect(not refused, "connects failed: {}".format(refused))
    return "{} connects, none refused; longest wait {:.2f} s".format(load.count["connects"], load.longest_s)


def check_exit_78():
    """A broken configuration at the start is not tried again and again."""
    host.configure()
    host.write_raw_config("listeners: {}\nnonsense: 1\n")
    cursor = host.journal_cursor()
    host.run("systemctl", "restart", host.SERVICE, status=1)
    expect(host.prop("ActiveState") == "failed", "ActiveState is " + host.prop("ActiveState"))
    expect(host.prop("ExecMainStatus") == "78", "the exit status is " + host.prop("ExecMainStatus"))
    expect(host.prop("NRestarts") == "0", "NRestarts is " + host.prop("NRestarts"))
    error = host.logged(cursor, r"bsockd\.yaml:2:1: error: ")[0]["MESSAGE"]
    host.write_config()
    host.run("systemctl", "start", host.SERVICE)
    expect(host.is_answered(), "not answered after the file was mended")
    return error
