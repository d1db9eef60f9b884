"""The watchdog."""

import os
import signal
import time

import host
from host import expect
from load import Load

SLACK_S = 1  # reliability: it is ended within WatchdogSec and a second.


def watchdog_s():
    text = host.prop("WatchdogUSec")  # "10s"
    expect(text.endswith("s") and text[:-1].isdigit(), "WatchdogUSec is " + text)
    return int(text[:-1])


def check_watchdog():
    """A daemon that is stopped (SIGSTOP) is ended, and another started."""
    host.configure()
    allowed = watchdog_s() + SLACK_S
    pid = host.main_pid()
    cursor = host.journal_cursor()
    os.kill(pid, signal.SIGSTOP)
    ended = host.eventually(lambda: host.prop("Result") == "watchdog" or host.main_pid() != pid,
                            "the watchdog ends it", seconds=allowed)
    answered = ended + host.eventually(host.is_answered, "answers again")
    host.logged(cursor, r"[Ww]atchdog timeout")
    host.eventually(lambda: host.main_pid() not in (0, pid), "another process")
    return "WatchdogSec={}; ended after {:.1f} s, answers after {:.1f} s".format(
        watchdog_s(), ended, answered)


def check_watchdog_under_load():
    """At full load the watchdog does not trip."""
    host.configure()
    invocation = host.invocation()
    with Load() as load:
        time.sleep(watchdog_s() * 1.5)  # Long enough for it to have tripped.
    expect(host.invocation() == invocation, "the service was restarted")
    load.expect_nothing_noticed()
    return load.figures()
