"""bsockd.socket: systemd holds the sockets."""

import host
from host import expect
from load import Load
from service import exposure

SOCKET = "bsockd.socket"
CONFIGURATION = """\
handlers:
  echo: {{ builtin: echo }}
listeners:
  main: {{ listen: [{listen}], framing: line, handler: echo }}
"""


def use_socket(listen='"systemd:main"'):
    """The service is stopped, with a configuration for bsockd.socket, which is enabled."""
    host.configure()
    host.run("systemctl", "stop", host.SERVICE)
    host.write_raw_config(CONFIGURATION.format(listen=listen))
    host.run("systemctl", "enable", "--quiet", "--now", SOCKET)


def check_socket_activation():
    """The first connect starts the service, and is answered."""
    use_socket()
    expect(host.prop("ActiveState") == "inactive", "the service is " + host.prop("ActiveState"))
    seconds = host.eventually(lambda: host.reply_of(host.GREET_PORT) == "hello", "the first answer")
    expect(host.is_active(), "the service is " + host.prop("ActiveState"))
    return "first answer after {:.2f} s".format(seconds)


def check_socket_stop_start():
    """With bsockd.socket, stop and start under load leave the port open."""
    use_socket()
    with Load(host.GREET_PORT) as load:
        for _ in range(3):
            invocation = host.invocation()
            host.run("systemctl", "stop", host.SERVICE)
            host.run("systemctl", "start", host.SERVICE)
            expect(host.invocation() != invocation, "it is the same run")
            load.expect_answers(100)
    load.expect_no_faults()
    return "3 times; " + load.figures()


def check_socket_names():
    """A name that no socket has, and a socket that the configuration does not use, are errors that name them."""
    cursor = host.journal_cursor()
    host.configure()
    host.write_raw_config(CONFIGURATION.format(listen='"systemd:other"'))
    host.run("systemctl", "restart", host.SERVICE, status=1)
    host.logged(cursor, r"systemd:other\b", PRIORITY="3", SYSLOG_IDENTIFIER="bsockd")
    expect(host.prop("ActiveState") == "failed", "the service is " + host.prop("ActiveState"))

    cursor = host.journal_cursor()
    use_socket(listen='"127.0.0.1:51718"')
    host.run("systemctl", "start", host.SERVICE, status=1)
    unused = host.logged(cursor, r"\bmain\b", PRIORITY="3", SYSLOG_IDENTIFIER="bsockd")
    return unused[0]["MESSAGE"]


def check_no_network():
    """With no-network.conf: TCP through the inherited socket, and no network of its own."""
    use_socket(listen='"systemd:main", "unix:/run/bsockd/main.sock"')
    host.run("mkdir", "-p", host.DROP_INS.format(host.SERVICE))
    host.run("ln", "-s", "/usr/lib/bsockd/no-network.conf", host.DROP_INS.format(host.SERVICE))
    host.run("systemctl", "daemon-reload")
    expect(exposure() <= 0.5, "exposure {}".format(exposure()))
    with Load(host.GREET_PORT) as load:
        host.run("systemctl", "restart", host.SERVICE)
        load.expect_answers(200)
    load.expect_no_faults()
    expect(host.is_answered(host.UNIX_SOCKET), "the Unix socket is not answered")
    with open("/proc/{}/net/dev".format(host.main_pid()), encoding="utf-8") as devices:
        names = [line.split(":")[0].strip() for line in devices if ":" in line]
    expect(names == ["lo"], "it sees the interfaces " + " ".join(names))
    own, ours = (host.run("readlink", "/proc/{}/ns/net".format(pid)) for pid in (host.main_pid(), 1))
    expect(own != ours, "it is in the host's network")
    return "exposure {}; {}".format(exposure(), load.figures())
