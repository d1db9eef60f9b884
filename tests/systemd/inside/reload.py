"""systemctl reload."""

import re

import host
from host import expect
from load import Load

RELOADS = 100


def check_reload():
    """A reload applies the file in the running process and keeps the connections."""
    host.configure()
    pid = host.main_pid()
    with host.connect(host.GREET_PORT) as client:
        host.ask(client)
        host.write_config(reply="another greeting", echo='"127.0.0.1:51719"')
        host.run("systemctl", "reload", host.SERVICE)
        host.eventually(lambda: host.reply_of() == "another greeting", "new connections get the new reply")
        host.ask(client)
        host.eventually(lambda: host.is_answered(51719), "the new address is answered")
        host.eventually(lambda: not host.is_answered(host.ECHO_PORT), "the old address is closed")
    expect(host.main_pid() == pid, "it is another process")
    expect(host.is_active(), "the service is " + host.prop("ActiveState"))
    host.eventually(lambda: "reloaded 1 time" in host.prop("StatusText"),
                    "Status says `reloaded 1 time`: " + host.prop("StatusText"))
    return host.prop("StatusText")


def check_reload_broken():
    """A reload with a broken file fails and says where; the service goes on as it was."""
    host.configure()
    pid = host.main_pid()
    cursor = host.journal_cursor()
    with host.connect(host.GREET_PORT) as client:
        host.write_raw_config(host.CONFIGURATION.format(
            reply="not to be seen", main="127.0.0.1:51717", echo="127.0.0.1:51718") + "serverr: 1\n")
        host.run("systemctl", "reload", host.SERVICE, status=1)
        place = re.escape(host.CONFIG) + r":\d+:\d+: error: .*serverr"
        error = host.logged(cursor, place, _PID=str(pid))[0]["MESSAGE"]
        expect(host.ask(client) == host.GREETING, "the connection gets another reply")
    host.logged(cursor, "reload refused", _PID=str(pid))
    expect(host.reply_of() == host.GREETING, "new connections get another reply")
    expect(host.main_pid() == pid and host.is_active(), "the service did not stay up")
    host.write_config(reply="mended")
    host.run("systemctl", "reload", host.SERVICE)
    host.eventually(lambda: host.reply_of() == "mended", "the mended file is applied")
    return error


def check_reloads_under_load():
    """Reloads under load: nobody notices."""
    host.configure()
    pid = host.main_pid()
    with Load() as load:
        for number in range(RELOADS):
            host.write_config(reply="greeting {}".format(number))
            host.run("systemctl", "reload", host.SERVICE)
            host.eventually(lambda: host.reply_of() == "greeting {}".format(number),
                            "reload {} is applied".format(number))
        load.expect_answers(200)
    expect(host.main_pid() == pid, "it is another process")
    load.expect_nothing_noticed()
    return "{} reloads; {}".format(RELOADS, load.figures())
