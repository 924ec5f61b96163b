"""Who may import whom: the dependency direction of the architecture, from the sources themselves."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"dnnzip": ROOT / "sw", "dnnzip_hw": ROOT / "hw", "dnnzip_sim": ROOT / "sim", "dnnzip_bench": ROOT / "bench"}

MAY_IMPORT = {
    "errors": set(),
    "format": set(),
    "system": {"errors"},
    "inputs": {"errors"},
    "codec": {"format", "system"},
    "quantize": {"codec", "format", "errors"},
    "encoding": {"quantize", "codec", "format", "errors", "inputs"},
    "html_table": set(),
    "tensor_file": {"encoding", "quantize", "format"},
    "weight_files": {
        *("tensor_file", "encoding", "quantize", "codec", "format", "errors", "inputs", "system"),
    },
    "tensor": {"html_table", "tensor_file", "encoding", "quantize", "codec", "format", "errors"},
    "array_codec": {"tensor", "encoding", "quantize", "codec", "format"},
    "onnx": {"encoding", "quantize", "codec", "format", "errors", "inputs", "system"},
    "onnxruntime": {"onnx", "system"},
    "evaluation": {"onnxruntime", "onnx", "errors", "inputs", "system"},
    "accelerator": {"format", "errors", "inputs"},
    "array": {"link", "evaluation", "onnx", "quantize", "codec", "format", "errors", "system"},
    "link": {"codec", "format", "errors", "system"},
    "digits": {"evaluation"},
    "doctor": {"codec", "system"},
    "usecases": {
        *("link", "array", "accelerator", "evaluation", "onnx", "encoding", "quantize", "codec", "format", "errors"),
        *("inputs", "system", "weight_files"),
    },
    "presentation": {"usecases", "array", "accelerator", "onnx", "system"},
    "tuning": {
        *("presentation", "usecases", "accelerator", "evaluation", "onnx", "encoding", "quantize", "codec"),
        *("format", "errors", "inputs", "system"),
    },
    "exploration": {
        *("presentation", "usecases", "accelerator", "evaluation", "onnx", "encoding", "quantize", "codec", "format"),
        *("errors", "inputs", "system"),
    },
    "named_tensors": {
        *("presentation", "usecases", "tensor", "weight_files", "encoding", "quantize", "codec", "format", "errors"),
        *("html_table", "system"),
    },
    "api": {
        *("presentation", "usecases", "tensor", "weight_files", "encoding", "onnx", "quantize", "codec", "format"),
        *("errors", "html_table"),
    },
    "measures": {
        *("api", "named_tensors", "tuning", "usecases", "weight_files", "accelerator", "evaluation", "onnx", "errors"),
    },
    "report": {"exploration", "onnx", "errors", "system"},
    "cli": {
        *("report", "exploration", "tuning", "doctor", "presentation", "usecases", "link", "array", "accelerator"),
        *("evaluation", "onnx", "encoding", "quantize", "codec", "format", "errors", "system", "weight_files"),
    },
    "__main__": {"cli", "system"},
}
"""Part of ``dnnzip`` to the other parts that it may import; ``dnnzip`` itself, with its version, is free to all."""

HARDWARE_MAY_IMPORT = ("format", "errors", "cli", "system")


def imported(source):
    """Return the modules that a source imports: ``a.b`` for ``import a.b``, ``a.b.c`` for ``from a.b import c``."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def package_of(module):
    return module.partition(".")[0]


def part_of(module):
    """Return the part of ``dnnzip`` that a module of it belongs to; empty for ``dnnzip`` itself and its own names."""
    part = module.split(".")[1] if "." in module else ""
    return part if part in MAY_IMPORT else ""


def faults(module, source):
    """Return the imports that a module, by its dotted name, must not have."""
    package, part = package_of(module), part_of(module)
    wrong = []
    for other in sorted(imported(source)):
        ours = package_of(other)
        if ours == package:
            allowed = (
                package != "dnnzip" or not part_of(other) or part_of(other) in {part} | MAY_IMPORT.get(part, set())
            )
            wrong += [] if allowed else [other]
        elif ours in PACKAGES:
            is_of_hardware = ours == "dnnzip" and (
                other == "dnnzip.__version__" or part_of(other) in HARDWARE_MAY_IMPORT
            )
            allowed = (
                package == "dnnzip_bench"
                or (package == "dnnzip_sim" and ours != "dnnzip_bench")
                or (package == "dnnzip_hw" and is_of_hardware)
            )
            wrong += [] if allowed else [other]
        elif part == "format" and ours not in sys.stdlib_module_names:
            wrong.append(other)
    return wrong


def sources():
    """Yield the dotted name and the path of every module of the packages."""
    for package, folder in PACKAGES.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


SOURCES = dict(sources())


def test_the_packages_are_all_there():
    assert {package_of(module) for module in SOURCES} == set(PACKAGES)
    assert len(SOURCES) > 60
    parts = {module.split(".")[1] for module in SOURCES if module.startswith("dnnzip.")}
    assert parts <= MAY_IMPORT.keys(), "a new part of dnnzip needs its place in the dependency direction"


@pytest.mark.parametrize("module", [module for module in SOURCES if module != "dnnzip"])
def test_a_module_imports_only_what_stands_below_it(module):
    assert faults(module, SOURCES[module].read_text(encoding="utf-8")) == []


def test_the_package_itself_imports_its_python_api_alone_and_that_when_it_is_used():
    modules = imported(SOURCES["dnnzip"].read_text(encoding="utf-8"))
    lazy = {"os", "importlib.import_module"}
    assert {
        module
        for module in modules - lazy
        if not module.startswith(("dnnzip.api.", "dnnzip.measures.", "dnnzip.named_tensors.", "dnnzip.tensor."))
    } == set()


def test_the_python_api_is_loaded_by_its_first_use():
    assert not loaded("import dnnzip; dir(dnnzip); dnnzip.__version__") & HEAVY
    assert {"numpy", "onnx"} <= loaded("import dnnzip; dnnzip.compress_model")
    assert not loaded("import dnnzip; dnnzip.compress_model") & {"onnxruntime", "pydantic"}
    assert "onnx" not in loaded("import dnnzip; dnnzip.compress", "onnx")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dnnzip.format.bits", "import numpy"),
        ("dnnzip.format.bits", "from dnnzip.codec import fast"),
        ("dnnzip.format.bits", "from dnnzip.errors import InputError"),
        ("dnnzip.format.bits", "def late():\n    import numpy as np"),
        ("dnnzip.codec.fast", "from dnnzip.quantize.bound import Bound"),
        ("dnnzip.codec.fast", "from dnnzip import onnx"),
        ("dnnzip.quantize.grid", "from dnnzip.link import open_link"),
        ("dnnzip.quantize.grid", "from dnnzip.onnx.weights import Weight"),
        ("dnnzip.tensor", "from dnnzip.onnx.decompression import decompressed"),
        ("dnnzip.tensor", "from dnnzip.api import compress_model"),
        ("dnnzip.weight_files.files", "from dnnzip.onnx.files import load_model"),
        ("dnnzip.array.network", "from dnnzip.usecases.summary import summarise"),
        ("dnnzip.link.api", "from dnnzip.onnx.files import load_model"),
        ("dnnzip.link.session", "from dnnzip.array.job import ArrayJob"),
        ("dnnzip.accelerator.array", "import dnnzip.usecases.summary"),
        ("dnnzip.usecases.summary", "import dnnzip.cli"),
        ("dnnzip.usecases.summary", "from dnnzip.api import compress"),
        ("dnnzip.errors", "from dnnzip.format import Verdict"),
        ("dnnzip.cli", "import dnnzip_sim.link"),
        ("dnnzip.usecases.simulate", "from dnnzip_hw import lane"),
        ("dnnzip_hw.lane", "import dnnzip.codec"),
        ("dnnzip_hw.lane", "from dnnzip import codec"),
        ("dnnzip_hw.lane", "from dnnzip_sim.build import build"),
        ("dnnzip_hw.lane", "from dnnzip_bench.asic import gates"),
        ("dnnzip_sim.link", "from dnnzip_bench.asic import gates"),
        ("dnnzip.usecases.summary", "import dnnzip_bench"),
    ],
)
def test_a_wrong_import_is_seen(module, source):
    assert faults(module, source) == [next(iter(imported(source)))]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dnnzip.format.bits", "import zlib\nfrom dnnzip.format.fields import WORD_BITS"),
        ("dnnzip.codec.fast", "import numpy\nfrom dnnzip.format import Verdict\nfrom dnnzip.codec import kernels"),
        ("dnnzip.cli", "from dnnzip import __version__\nfrom dnnzip.usecases import compress"),
        ("dnnzip_hw.lane", "import amaranth\nfrom dnnzip.format import Verdict\nfrom dnnzip_hw import stream"),
        ("dnnzip_hw.cli", "from dnnzip.errors import InputError"),
        (
            "dnnzip_sim.link",
            "import dnnzip_hw.top\nfrom dnnzip.link import LinkRun\nfrom dnnzip.codec import reference",
        ),
        ("dnnzip_bench.zoo", "import dnnzip.cli\nfrom dnnzip_sim.link import SimulatedLink\nimport dnnzip_hw.axi"),
    ],
)
def test_a_right_import_is_let_through(module, source):
    assert faults(module, source) == []


def loaded(statement, *blocked):
    """Return the modules of a fresh interpreter after ``statement``; the packages ``blocked`` cannot be imported."""
    script = (
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n{statement}\n"
        "print(*(name for name, module in sys.modules.items() if module))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


HEAVY = {"numpy", "onnx", "onnxruntime", "numba", "rich", "click", "amaranth", "dnnzip_hw", "dnnzip_sim"}


@pytest.mark.parametrize("statement", ["import dnnzip", "import dnnzip.format", "import dnnzip.errors"])
def test_the_format_alone_loads_the_standard_library_alone(statement):
    assert not loaded(statement, *HEAVY) & HEAVY
    assert not loaded(statement) & HEAVY


def test_a_heavy_import_would_be_seen():
    assert "numpy" in loaded("import numpy")


def test_the_codec_needs_no_onnx_and_a_link_neither():
    assert not loaded("import dnnzip.codec, dnnzip.link", "onnx", "onnxruntime", "click", "rich") & {"onnx"}


def test_the_command_line_opens_without_what_its_commands_need():
    assert not loaded("import dnnzip.cli") & {"numpy", "onnx", "onnxruntime", "numba", "amaranth", "pydantic"}


def test_the_rtl_elaborates_without_the_software_parts():
    assert not loaded("import dnnzip_hw", "numpy", "onnx", "onnxruntime", "numba") & {"onnx", "numba"}


def test_the_bench_is_in_a_checkout_and_in_no_wheel():
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    wheel = hatch["wheel"]
    assert set(wheel["packages"]) == {f"{PACKAGES[name].name}/{name}" for name in PACKAGES if name != "dnnzip_bench"}
    assert set(wheel["dev-mode-dirs"]) == {folder.name for folder in PACKAGES.values()}


def test_extras_are_found_by_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group in ("dnnzip.links", "dnnzip.arrays", "dnnzip.commands", "numcodecs.codecs"):
        for target in project["entry-points"][group].values():
            assert target.partition(":")[0] in SOURCES
