"""The package comes, is upgraded, and goes."""

import os
import shutil

import host
from host import expect
from load import Load

# What is not a file of anyone's: the kernel's, logs, caches, the records of apt and dpkg, and ours.
NOT_LOOKED_AT = {"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/cache", "/var/lib/apt",
                 "/var/lib/dpkg", "/var/lib/systemd/timers", "/checks", "/packages", "/results"}
INSTALLED = ["/usr/sbin/bsockd", "/usr/bin/bsock", "/etc/bsockd/bsockd.yaml",
             "/usr/lib/bsockd/no-network.conf"]

_before = set()  # The files before the package came.


def files():
    found = set()
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in NOT_LOOKED_AT]
        found.update(os.path.join(folder, name) for name in folders + names)
    return found


def apt(*arguments):
    return host.run("apt-get", "--quiet", "--yes", "--no-install-recommends", *arguments, timeout=180)


def version():
    return host.run("dpkg-query", "--show", "--showformat=${Version}", "bsockd")


def check_install():
    """apt install of the .deb brings what it depends on, starts the service and will start it at boot."""
    _before.update(files())
    apt("install", "/packages/bsockd.deb")
    for path in INSTALLED:
        expect(os.path.exists(path), path + " is not installed")
    expect(host.prop("UnitFileState") == "enabled", "the service is not enabled")
    expect(host.prop("UnitFileState", "bsockd.socket") == "disabled", "bsockd.socket is not disabled")
    host.eventually(host.is_active, "the service is active")
    answered = host.run("nc", "-N", "-w", "10", "127.0.0.1", str(host.GREET_PORT), stdin="hello\n")
    return "bsockd {}, a package of {} KiB".format(
        version(), os.path.getsize("/packages/bsockd.deb") // 1024)


def check_upgrade():
    """A package upgrade under load leaves the ports open, and every request is accounted for."""
    host.configure()
    before, invocation = version(), host.invocation()
    with Load() as load:
        apt("install", "--option=Dpkg::Options::=--force-confold", "/packages/later.deb")
        host.eventually(host.is_active, "the service is active again")
        load.expect_answers(200)
    expect(version() != before, "the version is still " + before)
    expect(host.invocation() != invocation, "the service was not restarted")
    load.expect_no_faults()
    return "{} to {}; {}".format(before, version(), load.figures())


def check_purge():
    """apt purge leaves nothing behind."""
    host.configure()
    host.forget_drop_ins()
    apt("purge", "--auto-remove", "bsockd")
    expect(not os.path.exists("/run/bsockd"), "/run/bsockd is still there")
    expect(host.prop("LoadState") == "not-found", "the service is still known")
    left = sorted(files() - _before)
    expect(not left, "left behind: " + " ".join(left))
    return "no file left"
