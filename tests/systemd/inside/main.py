"""Runs the checks that /names names, all if it names none, and writes a line for each to
/results/lines: `ok NAME (figures)`, or `FAILED NAME: why` and then what the journal has of it.

A check is a function `check_NAME`; what it returns are its figures, and `Failed` (or any other exception) is why
it failed. The checks of installing come first and that of removing last; in between each begins with
what suits it (`host.configure`), so that any of them can run alone.
"""

import sys
import time
import traceback

import host
import install
import reload
import restart
import service
import socket_unit
import watch

MODULES = [install, service, reload, restart, watch, socket_unit]
LAST = "purge"  # Needs `install` to have begun, and leaves nothing for the others.


def all_checks():
    checks = {}
    for module in MODULES:
        for name, function in vars(module).items():
            if name.startswith("check_"):
                checks[name[len("check_"):]] = function
    checks[LAST] = checks.pop(LAST)
    return checks


def chosen(checks):
    with open("/names", encoding="utf-8") as names:
        names = names.read().split()
    unknown = [name for name in names if name not in checks]
    if unknown:
        report("FAILED boot: no check {}; there are {}".format(unknown[0], " ".join(checks)))
    if names:
        names.append("install")  # Without it there is nothing to check.
    return {name: check for name, check in checks.items() if not names or name in names}


def report(line):
    with open("/results/lines", "a", encoding="utf-8") as lines:
        print(line, file=lines)


def run(name, check):
    began = time.monotonic()
    cursor = host.journal_cursor()
    try:
        figures = check()
    except Exception as error:  # pylint: disable=broad-except
        why = str(error) if isinstance(error, host.Failed) else traceback.format_exc()
        report("FAILED {}: {}".format(name, why.strip().replace("\n", "\n    ")))
        report("    " + host.journal_text(cursor, lines=30).replace("\n", "\n    "))
        return False
    took = "{:.1f} s".format(time.monotonic() - began)
    report("ok {} ({})".format(name, "; ".join([figures, took] if figures else [took])))
    return True


def main():
    for name, check in chosen(all_checks()).items():
        if not run(name, check) and name == "install":
            break  # There is nothing to check.
    with open("/results/finished", "w", encoding="utf-8"):
        pass


if __name__ == "__main__":
    sys.exit(main())
