"""The Verilator build cache."""

import concurrent.futures
import shutil

import pytest

from dnnzip.system import caches
from dnnzip_sim.build import BuildFailedError, build, cache_folder, prepare

COUNTER = """
module counter (input clk, input rst, output reg [7:0] count);
    always @(posedge clk) count <= rst ? 0 : count + 1;
endmodule
"""


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def cache(tmp_path):
    """Return a cache without any build, but with the shared objects, which take long to compile."""
    prepare()
    folder = tmp_path / "cache"
    for runtime in cache_folder().glob("runtime-*"):
        shutil.copytree(runtime, folder / runtime.name)
    return folder


@pytest.mark.slow
def test_second_build_is_the_first_one(cache):
    first = build("counter", {"counter.v": COUNTER}, cache=cache)
    assert not first.was_cached
    before = contents(cache)
    second = build("counter", {"counter.v": COUNTER}, cache=cache)
    assert second.was_cached
    assert second.folder == first.folder
    assert contents(cache) == before
    assert (first.folder / "counter").is_file()


@pytest.mark.slow
def test_shared_code_is_compiled_once(tmp_path, monkeypatch):
    """Verilator's own sources are; the main program, which knows the size of the design's top, is not."""
    monkeypatch.setattr("dnnzip_sim.build.MAKE_OPTIONS", ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0"))
    first = prepare_and_log(tmp_path)
    assert "-o verilated.o" in first
    log = (build("counter", {"counter.v": COUNTER}, cache=tmp_path).folder / "build.log").read_text()
    assert "-c -o Vtop" in log
    assert "-o verilated.o" not in log
    assert "-o verilator.o" in log


def prepare_and_log(cache):
    """Compile what builds share, and return what was printed."""
    prepare(cache=cache)
    (log,) = cache.glob("*/build.log")
    return log.read_text()


@pytest.mark.usefixtures("nothing_compiled")
def test_other_options_share_nothing(tmp_path):
    for options in ([], ["--assert"], []):
        prepare(options=options, cache=tmp_path)
    assert len(list(tmp_path.glob("runtime-*"))) == 2


@pytest.mark.usefixtures("nothing_compiled")
def test_other_warnings_share_everything(tmp_path):
    for options in ([], ["-Wno-WIDTHTRUNC"]):
        prepare(options=options, cache=tmp_path)
    assert len(list(tmp_path.glob("runtime-*"))) == 1
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1 + 2


@pytest.mark.slow
def test_concurrent_builders_compile_once(cache):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        builds = list(pool.map(lambda _: build("counter", {"counter.v": COUNTER}, cache=cache), range(2)))
    assert sorted(made.was_cached for made in builds) == [False, True]
    assert len({made.folder for made in builds}) == 1


@pytest.fixture
def nothing_compiled(monkeypatch):
    """Leave out the compilation: the key is what is looked at."""

    def pretend(*arguments):
        pass

    monkeypatch.setattr("dnnzip_sim.build._compile", pretend)


@pytest.mark.usefixtures("nothing_compiled")
def test_any_difference_makes_another_build(tmp_path):
    variants = [
        {"sources": {"counter.v": COUNTER}},
        {"sources": {"counter.v": COUNTER + " "}},
        {"sources": {"counter.sv": COUNTER}},
        {"sources": {"counter.v": COUNTER, "table.hex": "0"}},
        {"sources": {"counter.v": COUNTER}, "options": ["--assert"]},
        {"sources": {"counter.v": COUNTER}, "parameters": {"W": 1}},
        {"sources": {"counter.v": COUNTER}, "parameters": {"W": 2}},
    ]
    builds = [build("counter", cache=tmp_path, **variant) for variant in variants]
    assert len({made.key for made in builds}) == len(variants)


@pytest.fixture
def program_written(monkeypatch):
    """Let the compilation leave its files without a compiler."""

    def pretend(top, sources, *others):
        for name in (top, "verilated.o", *sources):
            (others[-1] / name).write_text(f"{name} whole")

    monkeypatch.setattr("dnnzip_sim.build._compile", pretend)


def emptied(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def replaced_by_a_file(folder):
    shutil.rmtree(folder)
    folder.touch()


DAMAGES = {
    "truncated program": lambda folder: (folder / "counter").write_text("counter"),
    "changed program": lambda folder: (folder / "counter").write_text("counter WHOLE"),
    "missing program": lambda folder: (folder / "counter").unlink(),
    "program that is a folder": lambda folder: ((folder / "counter").unlink(), (folder / "counter").mkdir()),
    "garbage for a source": lambda folder: (folder / "counter.v").write_bytes(b"\xff\x00"),
    "empty list": lambda folder: (folder / "contents.json").write_text(""),
    "list of another kind": lambda folder: (folder / "contents.json").write_text("[1]"),
    "empty folder": emptied,
    "file for the folder": replaced_by_a_file,
}


@pytest.mark.usefixtures("program_written")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_build_is_made_again(tmp_path, damage):
    def built():
        return build("counter", {"counter.v": COUNTER}, cache=tmp_path)

    folder = built().folder
    assert built().was_cached
    DAMAGES[damage](folder)
    assert not built().was_cached
    assert built().was_cached
    assert (folder / "counter").read_text() == "counter whole"


@pytest.mark.usefixtures("program_written")
def test_damaged_shared_objects_are_made_again(tmp_path):
    build("counter", {"counter.v": COUNTER}, cache=tmp_path)
    (shared,) = tmp_path.glob("runtime-*/verilated.o")
    shared.write_text("")
    build("counter", {"counter.v": COUNTER + " "}, cache=tmp_path)
    assert shared.read_text() == "verilated.o whole"


@pytest.mark.usefixtures("program_written")
def test_a_cache_that_cannot_be_written_has_a_temporary_one_in_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(caches, "_SAID", {})
    nowhere = tmp_path / "file" / "cache"
    nowhere.parent.touch()
    made = [build("counter", {"counter.v": COUNTER}, cache=nowhere) for _ in range(2)]
    assert [one.was_cached for one in made] == [False, True]
    said = f"dnnzip: no place to keep builds ({nowhere} cannot be written); made for this run alone, set DNNZIP_CACHE"
    assert capsys.readouterr().err == f"{said} to a folder\n"


@pytest.mark.usefixtures("program_written")
def test_a_user_without_a_home_has_a_temporary_cache(tmp_path, monkeypatch, capsys):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(caches, "_SAID", {})
    for name in ("DNNZIP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("dnnzip_sim.build.__file__", str(tmp_path / "site-packages" / "dnnzip_sim" / "build.py"))
    monkeypatch.setattr("pathlib.Path.home", home)
    assert build("counter", {"counter.v": COUNTER}).folder.is_dir()
    assert capsys.readouterr().err.startswith("dnnzip: no place to keep builds (nowhere); made for this run alone, ")


@pytest.mark.usefixtures("program_written")
def test_a_cache_that_can_only_be_read_is_used(tmp_path, monkeypatch):
    made = build("counter", {"counter.v": COUNTER}, cache=tmp_path)
    monkeypatch.setattr(caches, "can_write", lambda _: False)
    assert build("counter", {"counter.v": COUNTER}, cache=tmp_path).folder == made.folder


def test_sources_that_do_not_compile(tmp_path):
    with pytest.raises(BuildFailedError, match=r"Verilator build of broken failed(.|\n)*syntax error"):
        build("broken", {"broken.v": "module broken (input clk; endmodule"}, cache=tmp_path)
    (kept,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert kept.suffix == ".failed"  # and no finished one


@pytest.mark.parametrize("sources", [{}, {"notes.txt": ""}])
def test_no_verilog(sources, tmp_path):
    with pytest.raises(ValueError, match=r"sources must have a \.v or \.sv file"):
        build("counter", sources, cache=tmp_path)


@pytest.mark.parametrize("name", ["../counter.v", "a/counter.v"])
def test_source_names_are_plain(name, tmp_path):
    with pytest.raises(ValueError, match="a source's name must be a plain file name"):
        build("counter", {name: COUNTER}, cache=tmp_path)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DNNZIP_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DNNZIP_CACHE")
    assert cache_folder().parts[-2:] == ("build", "verilator")


def test_cache_folder_of_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.delenv("DNNZIP_CACHE", raising=False)
    monkeypatch.setattr("dnnzip_sim.build.__file__", str(tmp_path / "site-packages" / "dnnzip_sim" / "build.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "dnnzip" / "verilator"
