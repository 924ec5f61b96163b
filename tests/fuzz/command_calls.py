"""Calls of the command line for its fuzzer: sound ones by a recipe for each command, and how one is changed.

The commands and their parameters are those of the click group: `check_recipes` raises where a recipe lacks one.
"""

import json
import random
import re
import zipfile
from dataclasses import dataclass, field

import click
from command_files import damaged

from dnnzip.cli.group import cli
from dnnzip_sim.stimulus.damage import scrambled

FLOAT_MODELS = ("in/plain.onnx", "in/plain.onnx", "in/external.onnx")
PLAIN_MODELS = (*FLOAT_MODELS, "in/integer.onnx", "in/quantised.onnx")
COMPRESSED = ("in/ans.dnz.onnx", "in/line.dnz.onnx", "in/raw.dnz.onnx", "in/integer.dnz.onnx", "in/quantised.dnz.onnx")
WEIGHT_FILES = ("in/w.safetensors", "in/shards/w.safetensors.index.json", "in/w.npz", "in/w.gguf")
COMPRESSED_WEIGHTS = ("in/w.dnz.safetensors", "in/w.dnz.npz", "in/w.dnz.safetensors.index.json")
SHARES = ("2%", "0.5%", "1%", "20%", "100%", "0.01", "0.3", "0", "1lsb", "0lsb", "3lsb")
COUNTS = ("1", "2", "5", "40")
DATA = ("in/set.npz",)
ACCELERATORS = ("edge-lpddr4", "paper-mesh-8x8", "ulx3s", "in/npu.toml", "in/npu.toml")
NAMES = ("*", "conv*", "fc.weight", "w", "*.weight", "nothing")
OUTPUTS = ("y", "c", "nothing")
MADE = ("out/made.onnx", "out/made.safetensors", "out/made.npz", "out/made.safetensors.index.json", "-")

#: Parameter of a command to values that it may have; those of all commands under "".
RECIPES = {
    "": {"json_file": ("out/facts.json", "-"), "quiet": (), "target": ("out/made.onnx", "out/made.onnx", "-")},
    "compress": {
        "model": (*PLAIN_MODELS, *WEIGHT_FILES),
        "target": MADE,
        "max_error": SHARES,
        "error_scope": ("tensor", "channel"),
        "codec": ("auto", "ans", "line", "raw"),
        "layers": NAMES,
        "exclude": NAMES,
        "tables": ("in/ans.tables", "out/new.tables", "-"),
        "states": ("256", "512", "1024"),
        "virtual_lanes": ("1", "2", "4", "8", "16"),
        "groups": ("1", "2", "4", "64"),
        "jobs": ("1", "2", "8"),
    },
    "decompress": {"model": (*COMPRESSED, *COMPRESSED_WEIGHTS), "target": MADE},
    "info": {"file": (*COMPRESSED, *COMPRESSED_WEIGHTS)},
    "verify": {"model": (*PLAIN_MODELS, *WEIGHT_FILES), "compressed": (*COMPRESSED, *COMPRESSED_WEIGHTS)},
    "evaluate": {
        "model": (*PLAIN_MODELS, *COMPRESSED),
        "data": DATA,
        "images": ("in/images",),
        "samples": COUNTS,
        "scores": OUTPUTS,
    },
    "simulate": {"model": COMPRESSED, "link": ("golden", "golden", "golden", "sim", "sim:2", "serial:in/no-port")},
    "image": {
        "model": COMPRESSED,
        "folder": ("out/image", "out"),
        "bus_bits": ("16", "32", "64", "128", "512"),
        "prefix": ("lenet", "other_net"),
    },
    "doctor": {},
    "quantize": {"model": FLOAT_MODELS, "data": DATA, "samples": COUNTS},
    "estimate": {
        "model": (*PLAIN_MODELS, *COMPRESSED, "in/shapes.onnx"),
        "accelerator": ACCELERATORS,
        "bits": ("2", "3.5", "8"),
        "ratio": ("4", "1.5", "10"),
        "timing": ("serial", "overlap"),
        "batch": ("1", "16"),
        "weight_bits": ("32", "16", "8"),
        "placement": ("pe", "memory-interface"),
        "shapes": ("x=1x1x28x28", "input=2x1x28x28", "N=4", "batch=3"),
        "seq_len": ("1", "16"),
    },
    "run": {
        "model": ("in/quantised.onnx", "in/quantised.dnz.onnx"),
        "data": DATA,
        "link": ("golden", "golden", "golden", "sim", "serial:in/no-port"),
        "samples": ("1", "2"),
        "scores": OUTPUTS,
        "groups": ("1", "2"),
        "lanes": ("1", "2", "4", "8"),
        "slots": ("1", "2", "4"),
        "columns": ("1", "4", "16"),
        "vectors": ("64", "1024"),
        "check": (),
    },
    "explore": {
        "model": FLOAT_MODELS,
        "data": DATA,
        "max_error": ("1%,5%", "1%", "2%"),
        "error_scope": ("tensor", "tensor,channel"),
        "codec": ("auto", "ans,raw"),
        "layers": ("all", "largest", "largest:1", "conv*"),
        "accelerator": ("edge-lpddr4", "in/npu.toml", "edge-lpddr4,ulx3s"),
        "placement": ("own", "pe", "pe,memory-interface"),
        "timing": ("serial", "serial,overlap"),
        "batch": ("1", "4"),
        "weight_bits": ("32", "16", "8"),
        "samples": COUNTS,
        "seed": ("0", "7"),
        "scores": OUTPUTS,
        "tuned": ("in/ans.dnz.onnx", "in/raw.dnz.onnx"),
        "folder": ("out/explored", "out/explored", "in/explored"),
        "scheduler": ("tcp://127.0.0.1:1", "nowhere"),
        "workers": ("1", "2"),
        "against": ("bits", "energy,latency"),
    },
    "report": {"folder": ("in/explored",), "max_drop": ("1%", "0.5%", "100%", "0%")},
    "tune": {
        "model": FLOAT_MODELS,
        "data": DATA,
        "images": ("in/images",),
        "max_drop": ("20%", "0.5%", "1%"),
        "objective": ("bytes", "latency", "energy"),
        "accelerator": ACCELERATORS,
        "seed": ("0", "3"),
        "samples": COUNTS,
        "scores": OUTPUTS,
        "compare": (),
        "resume": (),
    },
    "rtl": {
        "folder": ("out/rtl", "out"),
        "lanes": ("1", "2", "4", "8", "16"),
        "slots": ("1", "2", "4"),
        "states": ("256", "512", "1024"),
        "weight_bits": ("8", "16", "32"),
        "line": (),
        "float_map": (),
        "target": ("generic", "ecp5", "ice40"),
        "groups": ("1", "2"),
        "bus_bits": ("64", "128"),
        "row_weights": ("4", "8"),
    },
    "bitstream": {
        "name": ("ulx3s-85f", "icebreaker"),
        "top": ("decompressor", "array"),
        "folder": ("out/bits",),
        "seed": ("1", "5"),
    },
}

#: Calls of a command among those of all; they differ by what a call costs.
WEIGHTS = {
    "bitstream": 0.5,
    "doctor": 0.06,
    "evaluate": 0.7,
    "explore": 0.35,
    "quantize": 0.15,
    "report": 0.03,
    "rtl": 0.5,
    "run": 0.5,
    "simulate": 0.7,
    "tune": 0.12,
}

#: Optional parameters that a recipe needs more often than others, since a call without them ends early.
MOSTLY_GIVEN = {
    ("evaluate", "data"),
    ("tune", "data"),
    ("simulate", "link"),
    ("estimate", "bits"),
    ("doctor", "json_file"),
}

#: Values that no parameter is meant to have.
ODD = (
    *("", " ", "-", "--", "0", "-1", "1", "00", "+1", "1.5", "nan", "inf", "-inf", "1e309", "1e-320", "-0.0", "0x10"),
    *("9" * 30, "9" * 5000, str(1 << 31), str(1 << 63), str(-(1 << 63) - 1)),
    *("½", "٣", "\uff11", "1_0", "2 %", "%", "1%%"),
    *("1e-320%", "1e308%", "nan%", "-1%", "0%", "100%", "101%", "1lsb", "0.5lsb", "-1lsb", "1e99lsb", "lsb", "2lsb%"),
    *("*", "[", "[!", "?", ",", "1,2", ",,", "1,,1", "True", "None", "a" * 5000, "é", "日本", "\udcff", "\x1b[31mred"),
    *("a\nb", "a\tb", "\u202e", "sim", "sim:", "sim:0", "golden", "golden:x", "serial", "serial:", "serial:/dev/null"),
    # Paths stay in the call's folder: as root, it could write anywhere.
    *("out/../in", "out/..", ".", "in", "in/", "in/plain.onnx", "out", "in/no/such/file"),
    *("tcp://", "all", "each", "largest:0", "largest:-1", "own", "auto", "256", "2048", "16", "17", "64", "65", "1e3"),
)

#: Files that are given whole: with something joined to it, a name there would be a new file of the system.
DEVICES = ("/dev/null", "/dev/full", "/dev/null/x")


@dataclass
class Call:
    """A call: its arguments, and the files that it finds, by their names from its folder."""

    arguments: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def save(self, path):
        """Keep the call in a file."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            facts = {"arguments": self.arguments, "changes": self.changes, "files": list(self.files)}
            archive.writestr("call.json", json.dumps(facts, indent=1))
            for number, content in enumerate(self.files.values()):
                archive.writestr(f"{number}.bin", content)

    @classmethod
    def load(cls, path):
        """Read a call from a file."""
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read("call.json"))
            files = {name: archive.read(f"{number}.bin") for number, name in enumerate(facts["files"])}
        return cls(facts["arguments"], files, facts["changes"])


def commands():
    """Return the commands by their names."""
    root = click.Context(cli, info_name="dnnzip")
    return {name: cli.get_command(root, name) for name in cli.list_commands(root)}


def values_of(command, parameter):
    """Return the values that a recipe has for a parameter."""
    return RECIPES[command].get(parameter, RECIPES[""].get(parameter))


def check_recipes(found):
    """Refuse to go on where a command, or a parameter of one, has no recipe.

    Raises
    ------
    LookupError
        With the names of those that are missing.
    """
    missing = [name for name in found if name not in RECIPES]
    for name, command in found.items():
        if name in RECIPES:
            missing += [f"{name} {one.opts[0]}" for one in command.params if values_of(name, one.name) is None]
    if missing:
        raise LookupError(f"no recipe in tests/fuzz/command_calls.py for {', '.join(missing)}")


class Caller:
    """Makes calls; the same seed and number make the same call.

    Parameters
    ----------
    sound
        The sound files, by their names.
    only
        Names of the commands to call; all where empty.
    """

    def __init__(self, sound, only=()):
        self.sound = sound
        self.commands = commands()
        check_recipes(self.commands)
        self.names = [name for name in self.commands if not only or name in only]
        self.weights = [WEIGHTS.get(name, 1) for name in self.names]

    def call(self, seed, number):
        """Return a call: first a sound one of each command, then mostly sound ones with one or two changes."""
        rng = random.Random(f"{seed}:{number}")
        if number < len(self.names):
            return self._sound_call(self.names[number], rng)
        (name,) = rng.choices(self.names, self.weights)
        given = self._sound_values(name, rng)
        changes = []
        files = {}
        for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 2, 2, 3))):
            change = rng.choices((_odd_value, _left_out, _doubled, self._other_file), (5, 1, 1, 2))[0]
            if rng.random() < 0.45:
                change = self._damage
            change(name, given, files, rng, changes)
        call = Call([name, *_words(given, rng)], files, changes)
        if rng.random() < 0.03:
            _odd_line(call, rng)
        self._add_files(call, rng)
        return call

    def _sound_call(self, name, rng):
        """Return the call of what a command needs, with the first values of its recipe."""
        needed = [one for one in self.commands[name].params if one.required or (name, one.name) in MOSTLY_GIVEN]
        call = Call([name, *_words([[one, values_of(name, one.name)[0]] for one in needed], rng)])
        self._add_sound_files(call)
        return call

    def _sound_values(self, name, rng):
        """Return pairs of a parameter and its value, None for a flag."""
        given = []
        for parameter in self.commands[name].params:
            if parameter.required or rng.random() < (0.9 if (name, parameter.name) in MOSTLY_GIVEN else 0.2):
                values = values_of(name, parameter.name)
                given.append([parameter, rng.choice(values) if values else None])
        return given

    def _damage(self, name, given, files, rng, changes):
        """Damage a file that a value names, or one in the folder that it names."""
        del name
        named = [value for _, value in given if value and value.startswith("in/")]
        found = [file for value in named for file in self._files_at(value)]
        if found:
            file = rng.choice(found)
            files[file] = scrambled(rng, files[file]) if file in files else damaged(file, self.sound[file], rng)
            changes.append(f"damaged {file}")

    def _files_at(self, value):
        """Return the sound files that a path names: itself, what belongs to it, or all in the folder."""
        path = value.rstrip("/")
        more = (path + "/", path.replace(".onnx", ".bin"), path.removesuffix(".safetensors.index.json") + "-0")
        return [name for name in self.sound if name == path or (path != "in" and name.startswith(more))]

    def _other_file(self, name, given, files, rng, changes):
        """Set a parameter of a file to another file."""
        del name, files
        places = [pair for pair in given if pair[1] and pair[1].startswith(("in/", "out/"))]
        if places:
            pair = rng.choice(places)
            given_names = [value for _, value in given if value]
            pair[1] = rng.choice([*self.sound, "in", "out", "in/images", "in/explored", *given_names])
            changes.append(f"{pair[0].name} is {pair[1]}")

    def _add_sound_files(self, call):
        for path in sorted(set(re.findall(r"in/[\w./-]*", "\n".join(call.arguments)))):
            for name in self._files_at(path):
                call.files.setdefault(name, self.sound[name])

    def _add_files(self, call, rng):
        """Make the sound files that a call's arguments name, and sometimes what lies where it writes."""
        self._add_sound_files(call)
        if rng.random() < 0.05:
            for path in re.findall(r"^(?:-o)?(out/[\w./-]+)$", "\n".join(call.arguments), re.MULTILINE):
                call.files[path] = b"before"
                call.changes.append(f"{path} is there")
        if call.arguments[:1] == ["tune"] and "--resume" in call.arguments:
            content = b'{"settings": {}, "measured": {}}'
            call.files["out/made.onnx.tune"] = damaged("a.json", content, rng) if rng.random() < 0.7 else content


def _odd_value(name, given, files, rng, changes):
    """Set a parameter to a value that it is not meant to have."""
    del files
    pairs = [pair for pair in given if pair[1] is not None and pair[1] not in DEVICES]
    if not pairs:
        return
    pair = rng.choice(pairs)
    sound = values_of(name, pair[0].name)
    value = rng.choice(ODD)
    joined = (pair[1] + value, value + pair[1], pair[1].upper(), pair[1][:-1])
    pair[1] = rng.choice((value, value, value, *joined, *sound, *DEVICES))
    changes.append(f"{pair[0].name} is odd")


def _left_out(name, given, files, rng, changes):
    del name, files
    if given:
        changes.append(f"no {given.pop(rng.randrange(len(given)))[0].name}")


def _doubled(name, given, files, rng, changes):
    del files
    if given:
        parameter, value = rng.choice(given)
        values = values_of(name, parameter.name)
        given.append([parameter, rng.choice((value, *values)) if values else None])
        changes.append(f"{parameter.name} twice")


def _odd_line(call, rng):
    """Change the words of a call."""
    odd = ("--nothing", "-x", "--", "--help", "-h", "--version", "--max-err", "extra", "", "--debug", "--json", "-o")
    place = rng.randrange(len(call.arguments) + 1)
    if rng.random() < 0.7:
        call.arguments.insert(place, rng.choice(odd))
    else:
        del call.arguments[place:]
    call.changes.append("words changed")


def _words(given, rng):
    """Return the words of parameters, options in any order and form."""
    words = []
    for parameter, value in given:
        if isinstance(parameter, click.Argument):
            words.append([value])
        elif value is None:
            words.append([rng.choice([*parameter.opts, *parameter.secondary_opts])])
        else:
            option = rng.choice(parameter.opts)
            joined = option + ("=" if option.startswith("--") else "") + value
            words.append([joined] if value and rng.random() < 0.2 else [option, value])
    if rng.random() < 0.1:
        rng.shuffle(words)  # arguments of a command may change their places as well
    return [word for one in words for word in one]
