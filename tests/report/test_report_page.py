"""The page: valid HTML, every number that of the folder, names that stay text, nothing from a network."""

import json
import re

import html5lib
import pytest
from made_up import HOSTILE, NAMES, POOL, TOP1, write_exploration, write_tune

from dnnzip.errors import InputError
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.schemas import ENERGY_PARTS
from dnnzip.report import payload as payload_module
from dnnzip.report.captions import si, signed
from dnnzip.report.evidence import Kind, kind_of, read_evidence
from dnnzip.report.figures import all_figures
from dnnzip.report.headline import choose, closest, front
from dnnzip.report.page import _for_script, render
from dnnzip.report.palette import COLOURS, SERIES, variable
from dnnzip.report.payload import payload
from dnnzip.report.tuned import read_tuned


def text_of(element):
    return "".join(element.itertext())


def headline(parsed, field):
    return text_of(parsed.find(f".//*[@data-headline='{field}']")).replace("\N{NO-BREAK SPACE}", " ")


def parse(page):
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


@pytest.fixture
def without_library(monkeypatch):
    """Leave the figures' library out, which takes the parser seconds; the page of the other tests has it."""
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "library();")


def test_the_parser_would_see_a_fault():
    with pytest.raises(html5lib.html5parser.ParseError):
        parse("<!DOCTYPE html><title>x</title><p><b>open</p>")


def test_ids_are_unique_and_labels_lead_to_their_controls(parsed):
    ids = [element.get("id") for element in parsed.iter() if isinstance(element.tag, str) and element.get("id")]
    assert len(ids) == len(set(ids))
    named = [element.get("for") for element in parsed.iter("label")]
    named += [
        name for e in parsed.iter() if isinstance(e.tag, str) for name in (e.get("aria-labelledby") or "").split()
    ]
    assert len(named) > 10
    assert set(named) <= set(ids)


def test_every_control_has_a_name(parsed):
    labelled = {label.get("for") for label in parsed.iter("label")}
    controls = [*parsed.iter("select"), *parsed.iter("input")]
    assert len(controls) == 10
    assert {control.get("id") for control in controls} <= labelled


def test_nothing_comes_from_a_network(parsed):
    policy = parsed.find(".//meta[@http-equiv='Content-Security-Policy']").get("content")
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"https?:|\*|unsafe-eval", policy)
    script_rule = next(rule for rule in policy.split("; ") if rule.startswith("script-src"))
    assert "unsafe-inline" not in script_rule
    assert script_rule.count("'sha256-") == 2
    for element in parsed.iter():
        if isinstance(element.tag, str):
            for name in ("src", "href", "srcset", "action", "data", "poster"):
                value = element.get(name)
                assert value is None or value.startswith(("#", "data:")), (element.tag, name, value)
    styles = " ".join(text_of(style) for style in parsed.iter("style"))
    assert not re.search(r"@import|url\(", styles)


def test_the_headline_is_the_best_point_of_the_folder(parsed, exploration):
    rows = ExplorationFolder(exploration).points().to_pylist()
    best = min(
        (row for row in rows if row["top1_plain"] - row["top1"] <= 0.01 + 1e-9),
        key=lambda row: (row["bits_per_weight"], -row["top1"]),
    )
    first = next(
        row
        for row in rows
        if row["encoding"] == best["encoding"]
        and (row["accelerator"], row["placement"], row["timing"]) == ("edge-lpddr4", "pe", "serial")
    )
    assert headline(parsed, "bits") == f"{first['bits_per_weight']:.2f}"
    assert headline(parsed, "top1") == f"{100 * first['top1']:.2f} %"
    assert headline(parsed, "latency") == f"saved {100 * first['latency_reduction']:.1f} %"
    assert headline(parsed, "energy") == f"saved {100 * first['energy_reduction']:.1f} %"
    assert first["max_error"] in headline(parsed, "setting")


def test_every_point_of_the_folder_is_on_the_page(numbers, evidence, exploration):
    index = {setting.key: number for number, setting in enumerate(evidence.settings)}
    machines = [tuple(machine.values()) for machine in numbers["machines"]]
    rows = ExplorationFolder(exploration).points().to_pylist()
    assert len(rows) == len(index) * len(machines) == 648
    settings = numbers["settings"]
    for row in rows:
        at, machine = index[row["encoding"]], machines.index((row["accelerator"], row["placement"], row["timing"]))
        for name in ("layers", "max_error", "scope", "codec", "samples", "top1", "top1_plain", "bound_order"):
            assert settings[name][at] == row[name], (name, row["point"])
        assert settings["bytes"][at] == row["stream_bytes"] + row["side_bytes"] + row["left_out_bytes"]
        assert settings["bits"][at] == pytest.approx(row["bits_per_weight"], rel=1e-6)
        for side, prefix in (("compressed", ""), ("plain", "plain_")):
            for name in ("latency_s", "energy_J", *(f"energy_{part}_J" for part in ENERGY_PARTS)):
                assert numbers["costs"][machine][side][name][at] == pytest.approx(row[prefix + name], rel=1e-6), name


def test_every_layer_of_the_folder_is_on_the_page(numbers, evidence, exploration):
    index = {setting.key: str(number) for number, setting in enumerate(evidence.settings)}
    machines = [tuple(machine.values()) for machine in numbers["machines"]]
    names = [layer["name"] for layer in numbers["layers"]]
    assert names == [NAMES[0], POOL, *NAMES[1:]]
    rows = ExplorationFolder(exploration).layers().to_pylist()
    assert len(rows) == 648 * len(names)
    for row in rows:
        detail, at = numbers["details"][index[row["encoding"]]], names.index(row["layer"])
        machine = machines.index((row["accelerator"], row["placement"], row["timing"]))
        assert detail["codec"][at] == (None if row["codec"] == "none" else row["codec"])
        for here, there in (("bits", "bits_per_weight"), ("bound", "bound"), ("largest_error", "largest_error")):
            assert detail[here][at] == (None if row[there] is None else pytest.approx(row[there], rel=1e-6))
        assert detail["costs"][machine]["energy_J"][at] == pytest.approx(row["energy_J"], rel=1e-6)
        plain = numbers["layers"][at]["plain"][machine]
        assert plain["latency_s"] == pytest.approx(row["plain_latency_s"], rel=1e-6)


def test_a_hostile_name_stays_a_name(parsed, page, numbers):
    rows = parsed.findall(".//tbody[@id='layer-rows']/tr/th/button")
    assert [text_of(row) for row in rows] == [NAMES[0], POOL, *NAMES[1:]]
    assert HOSTILE in [layer["name"] for layer in numbers["layers"]]
    assert HOSTILE not in page
    assert not list(parsed.iter("img"))
    scripts = list(parsed.iter("script"))
    assert [script.get("type") for script in scripts] == ["application/json", "application/json", None, None]
    assert text_of(parsed.find(".//table[@id='tuned-table']/tbody/tr/th")) == HOSTILE


def test_a_tuned_model_is_a_setting_by_itself(parsed, numbers):
    settings = numbers["settings"]
    at = settings["kind"].index("tuned")
    assert settings["name"][at] == "tuned"
    assert settings["bound_order"][at] is None
    assert "all layers, 0.5%, per tensor" in settings["name"]
    for control, values in (("codec", ["", "auto"]), ("scope", ["", "tensor", "channel"])):
        assert [item.get("value") for item in parsed.findall(f".//select[@id='{control}']/option")] == values
    assert "tuned" in [item.get("value") for item in parsed.findall(".//select[@id='kind']/option")]


def test_a_script_does_not_end_its_element():
    assert _for_script('a = "</script>"; b = "<!-- x";') == 'a = "<\\/script>"; b = "<\\!-- x";'
    assert _for_script("a = '\x1a\n'") == "a = '\\u001a\n'"


def test_provenance_is_at_the_foot(parsed):
    facts = {
        text_of(name): text_of(value)
        for facts in parsed.findall(".//section[@aria-labelledby='provenance-title']//dl")
        for name, value in zip(facts.findall("dt"), facts.findall("dd"), strict=True)
    }
    assert facts["Commit"] == "0123456789ab"
    assert facts["Seed"] == "7"
    assert facts["Model, SHA-256"] == "1" * 64
    assert facts["Command"].startswith("dnnzip explore models/made_up.onnx")
    assert facts["Versions"] == "dnnzip 0.1.0, python 3.11.0"


def test_a_tuning_alone_has_a_page(tmp_path):
    parsed = parse(render(read_evidence(write_tune(tmp_path)), 0.01))
    assert text_of(parsed.find(".//h1")) == "made_up.onnx"
    section = parsed.find(".//section[@aria-labelledby='tuned-title']")
    cards = {
        text_of(card[0]): [text_of(part) for part in card[1:]] for card in section.findall("dl[@class='headline']/div")
    }
    gap = "\N{NO-BREAK SPACE}"
    assert cards == {
        "Bits per weight, tuned": ["3.208", f"802{gap}B in all"],
        "Top-1 accuracy, plain": [f"90.00{gap}%", "on 2,000 samples not seen by the search"],
        "Top-1 accuracy, tuned": [
            f"89.60{gap}%",
            f"−0.40{gap}points; 95 % interval −1.10 to +0.20",  # noqa: RUF001 (a minus sign)
        ],
        "Against the best single bound": [f"saved 28.7{gap}%", "4.500 bits at 0.7%, per tensor"],
    }
    facts = [text_of(element) for element in section.findall("dl[@class='card facts spaced']/*")]
    assert facts == ["Model", "models/made_up.onnx", "Objective name", "bytes", "Objective max drop", "0.01"]
    columns = [text_of(element) for element in section.findall(".//th[@scope='col']")]
    assert columns[:4] == ["Layer", "Shape", "Weights", "Chosen bound"]
    cells = [text_of(element) for element in section.findall(".//tbody/tr[1]/*")]
    assert cells[:4] == [HOSTILE, "16×8×3×3", "1,152", "1.3%"]  # noqa: RUF001 (a multiplication sign)
    assert cells[-1] == "of a newer version"
    assert "is not worth its table" in text_of(section.findall(".//tbody/tr")[1])
    assert len(parsed.findall(".//table[@id='tuned-table']/tbody/tr")) == 2
    assert not list(parsed.iter("script"))


@pytest.mark.usefixtures("without_library")
def test_an_exploration_without_a_finished_setting_says_so(tmp_path):
    write_exploration(tmp_path / "out", finished=0)
    parsed = parse(render(read_evidence(tmp_path / "out"), 0.01))
    assert "No setting has finished yet" in text_of(parsed.find(".//*[@class='warning']"))
    assert "0 of 80 settings so far" in text_of(parsed.find(".//*[@class='lead']"))


@pytest.mark.usefixtures("without_library")
def test_an_unfinished_exploration_shows_what_is_there(tmp_path):
    write_exploration(tmp_path / "out", finished=3)
    parsed = parse(render(read_evidence(tmp_path / "out"), 0.01))
    assert "3 of 80 settings so far" in text_of(parsed.find(".//*[@class='lead']"))


@pytest.mark.usefixtures("without_library")
def test_where_every_setting_loses_more_the_least_loss_leads(tmp_path):
    write_exploration(tmp_path / "out", labels=("all",), bounds=("20%", "50%"))
    evidence = read_evidence(tmp_path / "out")
    assert choose(evidence, 0.01) is None
    parsed = parse(render(evidence, 0.01))
    best = max(evidence.settings, key=lambda setting: setting.top1)
    assert closest(evidence) == evidence.settings.index(best)
    assert headline(parsed, "top1") == f"{100 * best.top1:.2f} %"
    assert "No setting shown loses at most 1.00 points" in text_of(parsed.find(".//*[@id='no-setting']"))


def test_a_large_exploration_keeps_the_layers_of_the_settings_in_front(evidence, monkeypatch):
    rows = evidence.layer_table.num_rows // len(evidence.settings)
    monkeypatch.setattr(payload_module, "DETAIL_ROWS", 12 * rows)
    content = payload(evidence, 0.01)
    assert len(content["details"]) == 12
    assert choose(evidence, 0.01) in content["details"]
    kept = [number for number, setting in enumerate(evidence.settings) if setting.kind is Kind.ALL]
    assert set(kept) <= set(content["details"])
    assert len(content["settings"]["bits"]) == len(evidence.settings)


def test_a_layer_selects_the_settings_that_are_about_it(numbers):
    settings = numbers["settings"]
    about = dict(zip(settings["layers"], settings["about"], strict=True))
    assert about["all"] == []
    assert about["fc.weight"] == about["all but fc.weight"] == ["fc.weight"]
    assert about["tuned"] == []
    assert about["*conv*"] == ["conv1.weight", "block2/conv.weight"]


def test_kinds_of_sets_of_layers():
    names = {"a", "all but a", "all but the first"}
    for label, kind in (
        ("all", Kind.ALL),
        ("a", Kind.ONE),
        ("all but the first", Kind.ONE),
        ("all but b", Kind.GROUP),
        ("largest 3", Kind.GROUP),
        ("tuned", Kind.TUNED),
    ):
        assert kind_of(label, names) is kind, label
    assert kind_of("all but a", {"a"}) is Kind.BUT


def test_a_front():
    costs, gains = [3, 1, 2, 2, 4, 1], [5, 1, 3, 2, 5, 1]
    assert front(costs, gains) == [1, 2, 0]
    assert front([], []) == []


def test_the_figures_of_the_page_are_in_it(parsed):
    content = json.loads(parsed.find(".//script[@id='report-figures']").text)
    assert content == json.loads(json.dumps(all_figures()))
    for name in content:
        assert parsed.find(f".//*[@id='{name}']") is not None
        assert parsed.find(f".//*[@id='{name}-empty']") is not None
        assert parsed.find(f".//*[@id='{name}-under']") is not None
    named = set(re.findall(r"var\(--([a-z]+)\)", json.dumps(content)))
    assert named <= COLOURS.keys()
    with pytest.raises(KeyError):
        variable("mauve")


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("side", ["light", "dark"])
def test_colours_can_be_read(side):
    card = getattr(COLOURS["card"], side)
    for name in ("ink", "muted", "accent", "chosen"):
        for ground in ("card", "page", "raised"):
            measured = contrast(getattr(COLOURS[name], side), getattr(COLOURS[ground], side))
            assert measured >= 4.5, f"{name} on {ground}, {side}: {measured:.2f}, expected 4.5"
    for name in SERIES:
        least = 2.2 if side == "light" else 4.5
        measured = contrast(getattr(COLOURS[name], side), card)
        assert measured >= least, f"{name} on a card, {side}: {measured:.2f}, expected {least}"


def test_numbers_are_written_with_their_prefix():
    gap = "\N{NO-BREAK SPACE}"
    for value, text in ((0, "0 J"), (1.234e-5, "12.3 µJ"), (999.96, "1.00 kJ"), (4.5e-14, "0.0450 pJ"), (None, "–")):  # noqa: RUF001
        assert si(value, "J") == text.replace(" ", gap)
    assert [signed(text) for text in ("-0.00", "0.00", "-1.20", "1.20")] == ["0.00", "0.00", "−1.20", "+1.20"]  # noqa: RUF001


@pytest.mark.parametrize("layers", [3, [1], [{"bits": 3}], {"name": "x"}])
@pytest.mark.parametrize("name", ["layers", "left_out"])
def test_a_damaged_tuning_is_told(tmp_path, name, layers):
    with pytest.raises(InputError, match=rf"tune\.json: is damaged: {name} is no list of objects with a name"):
        read_tuned({name: layers}, tmp_path)


@pytest.mark.parametrize("name", ["totals", "accuracy", "single_bound"])
def test_a_part_of_a_tuning_in_another_form_is_told(tmp_path, name):
    with pytest.raises(InputError, match=rf"tune\.json: is damaged: {name} is no object"):
        read_tuned({name: [1]}, tmp_path)


def test_a_tuning_that_says_little_is_shown(tmp_path):
    tuned = read_tuned({"totals": {"bits_per_weight": "x"}, "accuracy": None, "layers": [{"name": "a"}]}, tmp_path)
    assert (tuned.figures, tuned.columns, tuned.facts) == ((), ("Layer",), ())


def test_the_plain_accuracy_is_the_networks(parsed):
    values = [text_of(element) for element in parsed.findall(".//dl[@class='headline']//dd[@class='value']")]
    assert values[1].replace("\N{NO-BREAK SPACE}", " ") == f"{100 * TOP1:.2f} %"
