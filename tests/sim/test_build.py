"""The Verilator build cache."""

import concurrent.futures

import pytest

from dnnzip_sim.build import BuildFailedError, build, cache_folder

COUNTER = """
module counter (input clk, input rst, output reg [7:0] count);
    always @(posedge clk) count <= rst ? 0 : count + 1;
endmodule
"""


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_second_build_is_the_first_one(tmp_path):
    first = build("counter", {"counter.v": COUNTER}, cache=tmp_path)
    assert not first.was_cached
    before = contents(tmp_path)
    second = build("counter", {"counter.v": COUNTER}, cache=tmp_path)
    assert second.was_cached
    assert second.folder == first.folder
    assert contents(tmp_path) == before
    assert (first.folder / "counter").is_file()


def test_concurrent_builders_compile_once(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        builds = list(pool.map(lambda _: build("counter", {"counter.v": COUNTER}, cache=tmp_path), range(2)))
    assert sorted(made.was_cached for made in builds) == [False, True]
    assert len({made.folder for made in builds}) == 1


@pytest.fixture
def nothing_compiled(monkeypatch):
    """Leave out the compilation: the key is what is looked at."""

    def pretend(top, sources, parameters, options, environment, folder):  # noqa: ARG001 - the signature of _compile
        folder.mkdir(parents=True)

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


def test_sources_that_do_not_compile(tmp_path):
    with pytest.raises(BuildFailedError, match=r"Verilator build of broken failed(.|\n)*syntax error"):
        build("broken", {"broken.v": "module broken (input clk; endmodule"}, cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir() if path.is_dir()] == [".unfinished"]


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
