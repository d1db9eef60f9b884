#!/usr/bin/env python3
"""What bsockd can be told is documented, the same everywhere: its configuration in the JSON schema and in
bsockd.yaml(5), its options and bsock's in their manual pages and in the completions of three shells.

Run from the root of the tree, with the two programs in BSOCKD and BSOCK.
"""

import json
import os
import re
import subprocess
import tempfile
import unittest

import jsonschema
import yaml

# One address of each kind that has keys of its own.
BASE = {
    "handlers": "{e: {builtin: echo}, r: {reply: x}}",
    "listen": "[\"127.0.0.1:1\", \"unix:/run/x\"]",
}
FRAMINGS = [
    "line", "raw", "netstring", "varint", "{delimiter: [x]}", "{length: {width: 2}}",
    "{length: u8, reply_framing: line}", "{fixed: 4}",
]
# The language has these keys, but in a dump other keys stand for them.
NOT_DUMPED = {
    "defaults", "defaults.errors", "defaults.limits", "defaults.timeouts", "listeners.*.eof",
    "listeners.*.overlong", "listeners.*.framing.packet", "listeners.*.framing.raw",
    "listeners.*.framing.reply_framing",
}
# Where bsockd.yaml(5) has the keys of a map.
MAN_SECTIONS = {
    "# TOP LEVEL": [""], "# SERVER": ["server"], "# LOG": ["log"], "# HANDLERS": ["handlers.*"],
    "# DEFAULTS": ["defaults"], "# LISTENERS": ["listeners.*"],
    "## Limits": ["listeners.*.limits", "defaults.limits"],
    "## Timeouts": ["listeners.*.timeouts", "defaults.timeouts"], "## Peer": ["listeners.*.peer"],
    "## Framing": ["listeners.*.framing"], "## Length": ["listeners.*.framing.length"],
}
# Which of the configurations that bsockd refuses (tests/golden/config) a schema can refuse, too.
REFUSED_BY_SCHEMA = [
    "bursts", "limits", "list_items", "listen_empty", "no_listeners", "numbers", "root_is_a_list",
    "sections_of_wrong_type", "unknown_keys_inside", "words", "workers_word", "wrong_types",
]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Loader(yaml.SafeLoader):
    """YAML as bsockd and editors read it: `off` and `0660` are strings, not what YAML 1.1 says."""


Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(~|null|)$"), ["~", "n", ""])
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?(0|[1-9][0-9]*)$"),
                             list("-0123456789"))


def load(text):
    return yaml.load(text, Loader)


def bsockd(*arguments):
    return subprocess.run([os.environ["BSOCKD"], *arguments], capture_output=True, text=True,
                          timeout=60, check=False)


def run_on(text, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return bsockd("--config", file.name, *arguments)


def config(listener="", top=""):
    return "handlers: {}\nlisteners: {{main: {{listen: {}, handler: e{}}}}}\n{}\n".format(
        BASE["handlers"], BASE["listen"], listener, top)


def join(path, key):
    return path + "." + key if path else key


def as_text(value):
    """As YAML and the manual write it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def known_once(keys):
    """Without what has no key of its own, and without framings within reply_framing."""
    return {path: value for path, value in keys.items()
            if path and not path.endswith("*") and "reply_framing." not in path}


def dumped_keys():
    """Path to value of everything that --dump-config prints; None for maps."""
    keys = {}

    def walk(path, value):
        if isinstance(value, dict):
            keys.setdefault(path, None)
            named = path in ("handlers", "listeners")
            for key, child in value.items():
                walk(join(path, "*" if named else key), child)
        else:
            keys.setdefault(path, as_text(value))

    texts = [config(", framing: " + framing) for framing in FRAMINGS]
    texts.append(config(", limits: {requests_per_second: 5, requests_burst: 7}"))
    for text in texts:
        result = run_on(text, "--dump-config")
        assert result.returncode == 0, text + result.stderr
        walk("", load(result.stdout))
    return known_once(keys)


SCHEMA = json.loads(read("config/bsockd.schema.json"))


def schema_keys():
    """Path to default (or None) of everything that the schema knows."""
    keys = {}

    def walk(path, schema):
        if "$ref" in schema:
            walk(path, SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]])
        if "default" in schema:
            keys[path] = as_text(schema["default"])
        for choice in schema.get("anyOf", []):
            walk(path, choice)
        properties = schema.get("properties", {})
        if set(properties) == {"value", "enforce"}:  # A limit that is tried out.
            return
        for key, child in properties.items():
            keys.setdefault(join(path, key), None)
            walk(join(path, key), child)
        if isinstance(schema.get("additionalProperties"), dict):
            walk(join(path, "*"), schema["additionalProperties"])

    walk("", SCHEMA)
    return known_once(keys)


def man_keys():
    """Path to (default or None, the text) of everything that bsockd.yaml(5) documents."""
    keys = {}
    paths = []
    key_names = []
    for line in read("docs/man/bsockd.yaml.5.scd").split("\n"):
        entry = re.match(r"(\*[a-z_]+\*(?:, \*[a-z_]+\*)*):", line)
        if line.startswith("#"):
            paths = MAN_SECTIONS.get(line, [])
        if entry:
            key_names = re.findall(r"[a-z_]+", entry[1])
        for path in paths:
            for key in key_names:
                if entry:
                    keys.setdefault(join(path, key), "")
                elif line.startswith("\t"):
                    keys[join(path, key)] += line.strip() + " "
        if not line:
            key_names = []
    found = {}
    for path, text in keys.items():
        default = re.search(r"Default: \*([^*]+)\*", text)
        found[path] = (default[1] if default else None, text)
    return found


class Keys(unittest.TestCase):
    def test_schema_has_every_key_and_no_other(self):
        dumped = set(dumped_keys())
        known = {key for key in schema_keys() if not key.startswith("defaults.")} | {"defaults"}
        self.assertEqual(dumped - known, set(), "not in the schema")
        self.assertEqual(known - dumped - NOT_DUMPED, set(), "only in the schema")

    def test_manual_has_every_key_and_no_other(self):
        known, written = set(schema_keys()), set(man_keys())
        self.assertEqual(known - written, set(), "not in bsockd.yaml(5)")
        self.assertEqual(written - known, set(), "only in bsockd.yaml(5)")

    def test_defaults_are_those_of_the_program(self):
        schema = schema_keys()
        for path, value in dumped_keys().items():
            if value is None or schema.get(path) is None or path == "listeners.*.framing":
                continue
            self.assertEqual(schema[path], value, path + " in the schema")

    def test_defaults_of_the_manual_are_those_of_the_schema(self):
        schema = schema_keys()
        for path, (default, _) in man_keys().items():
            if path in schema and not path.endswith("*.eof") and not path.endswith("*.overlong"):
                self.assertEqual(default, schema[path], path)

    def test_bounds_of_the_manual_hold(self):
        units = {"": 1, "ms": 1, "KiB": 1024, "MiB": 1024 ** 2, "GiB": 1024 ** 3}
        checked = 0
        for path, (_, text) in man_keys().items():
            bounds = re.search(r"From \*(-?[0-9]+)([A-Za-z]*)\* to \*(-?[0-9]+)([A-Za-z]*)\*", text)
            if not bounds or path.startswith("defaults."):
                continue
            low, low_unit, high, high_unit = bounds.groups()
            right = [low + low_unit, high + high_unit]
            wrong = [str(int(high) + 1) + high_unit]
            if low_unit in units:
                unit = "ms" if low_unit == "ms" else ""
                wrong.append(str(int(low) * units[low_unit] - 1) + unit)
            for value in right + wrong:
                result = run_on(self.with_key(path, value), "--test")
                self.assertEqual(result.returncode, 0 if value in right else 78,
                                 path + ": " + value + "\n" + result.stderr)
            checked += 1
        self.assertGreater(checked, 15)

    @staticmethod
    def with_key(path, value):
        top, *rest = path.split(".")
        if top != "listeners":
            return config(top="{}: {{{}: {}}}".format(top, rest[0], value))
        beside = {"requests_burst": "requests_per_second: 1, ", "offset": "width: 1, ",
                  "adjust": "width: 1, ", "strip": "width: 1, offset: 1024, adjust: 1024, ",
                  "flush_after": "line: any, "}.get(rest[-1], "")
        inner = "{{{}{}: {}}}".format(beside, rest[-1], value)
        for key in reversed(rest[1:-1]):
            inner = "{{{}: {}}}".format(key, inner)
        return config(", " + inner[1:-1])


class Schema(unittest.TestCase):
    validator = jsonschema.Draft7Validator(SCHEMA)

    def assert_accepts(self, text, what):
        errors = [error.message for error in self.validator.iter_errors(load(text))]
        self.assertEqual(errors, [], what + "\n" + text)

    def test_is_a_schema(self):
        jsonschema.Draft7Validator.check_schema(SCHEMA)

    def test_shipped_file_names_it(self):
        text = read("config/bsockd.yaml")
        first = text.split("\n", 1)[0]
        self.assertEqual(first, "# yaml-language-server: $schema=bsockd.schema.json")
        self.assert_accepts(text, "config/bsockd.yaml")

    def test_accepts_the_examples(self):
        count = 0
        for page in ("docs/configuration.md", "docs/operations.md", "docs/client.md", "README.md"):
            for example in re.findall(r"^```yaml\n(# \S+\.yaml.*?)^```", read(page), re.M | re.S):
                self.assert_accepts(example, page)
                count += 1
        self.assertGreater(count, 10)

    def test_accepts_what_the_program_prints(self):
        for framing in FRAMINGS:
            result = run_on(config(", framing: " + framing), "--dump-config")
            self.assert_accepts(result.stdout, framing)

    def test_refuses_what_it_can(self):
        for name in REFUSED_BY_SCHEMA:
            document = load(read("tests/golden/config/" + name + ".yaml"))
            self.assertFalse(self.validator.is_valid(document), name)

    def test_refuses_each_mistake(self):
        for listener in (", framing: {}", ", framing: {line: lf, raw: }", ", framing: u32be",
                         ", limits: {max_frame: 64KB}", ", timeouts: {idle: 5}", ", errors: say",
                         ", timeouts: {idle: {value: 5m, enforce: perhaps}}", ", allow: localhost",
                         ", mode: rw", ", limits: {max_pipeline: 0}", ", listne: x"):
            text = config(listener)
            self.assertEqual(run_on(text, "--test").returncode, 78, text)
            self.assertFalse(self.validator.is_valid(load(text)), text)
        for address in ("127.0.0.1", "::1:5", "unix:", "unix:@", "tcp:h:1", "h:x", "[::1:5"):
            text = config().replace(BASE["listen"], json.dumps(address))
            self.assertEqual(run_on(text, "--test").returncode, 78, text)
            self.assertFalse(self.validator.is_valid(load(text)), text)


class Manual(unittest.TestCase):
    def test_renders_without_a_warning(self):
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "SOURCE_DATE_EPOCH": "0"}
        for page in ("bsockd.8", "bsock.1", "bsockd.yaml.5"):
            with open("docs/man/" + page + ".scd", encoding="utf-8") as source, \
                    tempfile.NamedTemporaryFile() as rendered:
                subprocess.run(["scdoc"], stdin=source, stdout=rendered, env=environment, check=True)
                result = subprocess.run(
                    ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", rendered.name],
                    capture_output=True, text=True, env=environment, check=True)
            self.assertEqual(result.stderr, "", page)

    def test_examples_are_right(self):
        blocks = re.findall(r"^```\n(.*?)^```", read("docs/man/bsockd.yaml.5.scd") +
                            read("docs/man/bsockd.8.scd"), re.M | re.S)
        examples = [block for block in blocks if "handlers:" in block and "listeners:" in block]
        self.assertGreater(len(examples), 5)
        for example in examples:
            text = example.replace("\\\\", "\\")  # As scdoc(5) has it.
            result = run_on(text, "--test")
            self.assertEqual(result.returncode, 0, text + result.stderr)
            self.assertTrue(Schema.validator.is_valid(load(text)), text)

class CommandLine(unittest.TestCase):
    @staticmethod
    def help_of(program):
        return subprocess.run([os.environ[program.upper()], "--help"], capture_output=True,
                              text=True, check=True).stdout

    def options(self, program):
        text = self.help_of(program)
        options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
        self.assertGreater(len(options), 8)
        return options

    def test_manual_has_every_option_and_no_other(self):
        for program, section in (("bsockd", "8"), ("bsock", "1")):
            page = read("docs/man/{}.{}.scd".format(program, section))
            entries = re.findall(r"^\*-.*", page.split("# OPTIONS")[1].split("\n# ")[0], re.M)
            written = set(re.findall(r"\*(--?[a-z][a-z-]*)\*", "\n".join(entries)))
            self.assertEqual(written, self.options(program), program)

    def test_exit_statuses_are_in_the_manual(self):
        for program, section in (("bsockd", "8"), ("bsock", "1")):
            page = read("docs/man/{}.{}.scd".format(program, section))
            words = self.help_of(program).split("Exit status:")[1].split(".")[0]
            for status in re.findall(r"\d+", words):
                self.assertIn("\n*{}*\n\t".format(status), page, program)

    def test_completions_have_every_option_and_no_other(self):
        for program in ("bsockd", "bsock"):
            fish = re.sub(r"-l ([a-z-]+)", r"--\1", read("completion/" + program + ".fish"))
            fish = re.sub(r"-s ([a-z])\b", r"-\1", fish)
            scripts = {"fish": fish, "bash": read("completion/" + program + ".bash"),
                       "zsh": read("completion/_" + program)}
            for option in self.options(program):
                for shell, script in scripts.items():
                    self.assertRegex(script, r"(?<![\w-])" + option + r"(?![\w-])",
                                     program + " in " + shell)
            for shell, script in scripts.items():
                long_ones = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", script))
                self.assertEqual(long_ones - self.options(program), set(), program + " in " + shell)


if __name__ == "__main__":
    unittest.main()
