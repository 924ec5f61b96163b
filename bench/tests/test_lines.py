"""The count of lines."""

from dnnzip_bench.lines import lines, parts


def test_lines_count_by_their_folders():
    files = {"sw/dnnzip/a.py": 5, "sim/dnnzip_sim/b.cpp": 3, "bench/dnnzip_bench/c.py": 7, "bench/tests/d.py": 2}
    assert parts(files | {"tests/sw/e.py": 4, "bootstrap.py": 1}) == {
        "wheel": 8,
        "  dnnzip": 5,
        "  dnnzip_sim": 3,
        "all but tests": 16,
        "tests": 6,
    }


def test_a_commit_that_is_not_there_is_one_line(bench, monkeypatch):
    status, _, err = bench(lines, "no-such-commit")
    assert (status, err) == (2, "dnnzip: no-such-commit: is no commit of this checkout; give one that git log shows\n")
    monkeypatch.setattr("dnnzip_bench.lines.counted", lambda commit: {f"sw/dnnzip/{commit}.py": len(commit)})
    status, out, _ = bench(lines, "one", "three")
    assert status == 0
    assert [line.split() for line in out.splitlines() if "wheel" in line] == [["wheel", "3", "5"]]
