"""The page in a real Chromium: no error on its console, and clicks that select."""

import io

import pytest
from chromium import REQUIRED, without_browser
from made_up import HOSTILE, NAMES, POOL, write_exploration, write_tune

from dnnzip.report.evidence import read_evidence
from dnnzip.report.headline import choose
from dnnzip.report.page import render

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LAYER_ROWS = "#layer-rows tr"
WAIT = 20
"""Seconds that the page has to show a change; a second is usual."""


def drawn(browser, figure, meta):
    """Return the settings of a series of a figure as it is drawn."""
    return browser.execute_script(
        "const trace = document.getElementById(arguments[0]).data.find(item => item.meta === arguments[1]);"
        "return trace ? Array.from(trace.customdata) : null",
        figure,
        meta,
    )


def marks(browser, figure):
    """Return the settings whose marks a figure shows."""
    kinds = ("all", "one", "but", "group", "tuned")
    return sorted(setting for kind in kinds for setting in drawn(browser, figure, kind) or [])


def rows(browser, selector=LAYER_ROWS):
    from selenium.webdriver.common.by import By

    return [row for row in browser.find_elements(By.CSS_SELECTOR, selector) if row.is_displayed()]


def one(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_element(By.CSS_SELECTOR, selector)


def text(browser, field):
    return one(browser, f"[data-headline='{field}']").text


def choose_option(browser, name, value):
    from selenium.webdriver.support.ui import Select

    Select(one(browser, f"#{name}")).select_by_value(value)


def screen(browser, width, scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def console(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def page_file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, page_file):
    """Open the page anew at 1400 pixels; at the end its console has to be empty."""
    screen(browser, 1400)
    browser.get(page_file.as_uri())
    assert browser.execute_script("return document.documentElement.dataset.ready") == "yes"
    yield browser
    assert console(browser) == []


def test_an_error_on_the_console_would_be_seen(browser, page_file):
    browser.get(page_file.as_uri())
    browser.execute_script("setTimeout(() => { throw new Error('on purpose'); })")
    wait_for(browser, lambda: any("on purpose" in entry["message"] for entry in console(browser)))


def wait_for(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, WAIT).until(lambda _: condition())


def test_a_missing_browser_fails_where_it_is_required(monkeypatch):
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="Chromium and its driver are missing"):
        without_browser()
    monkeypatch.delenv(REQUIRED)
    with pytest.raises(pytest.skip.Exception, match="Chromium and its driver are missing"):
        without_browser()


def test_a_connection_is_refused_by_the_page_itself(browser, page_file):
    browser.get(page_file.as_uri())
    refused = browser.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('sent'), error => done(String(error)))"
    )
    assert refused != "sent"
    assert any("Content Security Policy" in entry["message"] for entry in console(browser))


def test_a_script_of_nobody_is_refused(browser, page_file):
    browser.get(page_file.as_uri())
    browser.execute_script(
        "const added = document.createElement('script'); added.textContent = \"document.title = 'taken'\";"
        "document.body.append(added)"
    )
    assert browser.title != "taken"
    assert any("Content Security Policy" in entry["message"] for entry in console(browser))


def test_it_shows_all_settings_and_what_the_page_had_without_its_script(opened, evidence, parsed):
    everything = list(range(len(evidence.settings)))
    assert marks(opened, "accuracy-bits") == marks(opened, "accuracy-cost") == everything
    assert drawn(opened, "accuracy-bits", "chosen") == [choose(evidence, 0.01)]
    fields = {element.get("data-headline") for element in parsed.iter() if isinstance(element.tag, str)} - {None}
    assert len(fields) >= 10
    for field in sorted(fields):
        before = "".join(parsed.find(f".//*[@data-headline='{field}']").itertext())
        after = opened.execute_script(f"return document.querySelector(\"[data-headline='{field}']\").textContent")
        assert after == before, f"{field}: the template has {before!r}, the script {after!r}"


def test_no_name_became_markup(opened):
    names = [row.text for row in rows(opened, f"{LAYER_ROWS} th")]
    assert names == [NAMES[0], POOL, *NAMES[1:]]
    assert opened.title == "made_up.onnx: dnnzip report"
    assert HOSTILE in names
    assert not rows(opened, "img")
    labels = opened.execute_script(
        "return [...document.querySelectorAll('#layer-costs .ytick text')].map(item => item.textContent)"
    )
    assert labels[2].startswith("</script ><i"), labels
    # Figures take bold for markup: a name's own is text.
    hover = opened.execute_script(
        "const {data} = document.getElementById('accuracy-bits');"
        "return data.flatMap(item => Array.from(item.text || [])).filter(text => text.includes('img'))"
    )
    assert len(hover) >= 16
    assert not [text for text in hover if "<img" in text]


def test_no_figure_offers_to_send_its_data_away(opened):
    titles = opened.execute_script("return [...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert titles
    assert not [title for title in titles if "hare" in title or "loud" in title]


def test_the_filter_box_filters_rows_and_figures(opened):
    assert len(rows(opened)) == 5
    one(opened, "#filter").send_keys("BLOCK2")
    assert [row.get_attribute("data-layer") for row in rows(opened)] == ["3"]
    assert one(opened, "#layer-count").text == "1 of 5 layers"
    assert len(opened.execute_script("return document.getElementById('layer-costs').data[0].x")) == 1
    one(opened, "#filter").send_keys(" nothing like it")
    assert rows(opened) == []
    assert one(opened, "#layers-empty").is_displayed()
    assert one(opened, "#layer-costs-empty").is_displayed()


def test_a_click_on_a_layer_filters_the_points(opened, evidence):
    everything = len(evidence.settings)
    row = rows(opened)[0]
    row.click()
    kept = marks(opened, "accuracy-bits")
    expected = [
        number
        for number, setting in enumerate(evidence.settings)
        if setting.layers in ("all", "*conv*", "tuned", NAMES[0], f"all but {NAMES[0]}")
    ]
    assert kept == expected
    assert 0 < len(kept) < everything
    assert one(opened, f"{LAYER_ROWS} button").get_attribute("aria-pressed") == "true"
    front = {int(item.get_attribute("data-setting")) for item in rows(opened, "#front-rows tr")}
    assert front <= set(kept)
    assert "1 selected layer" in one(opened, "#energy-parts-under").text
    one(opened, "#chips button").click()
    assert len(marks(opened, "accuracy-bits")) == everything


def test_a_layer_is_selected_by_the_keyboard(opened, evidence):
    from selenium.webdriver.common.keys import Keys

    button = one(opened, f"{LAYER_ROWS}[data-layer='4'] button")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "true"
    assert opened.execute_script("return document.activeElement.textContent") == "fc.weight"
    assert len(marks(opened, "accuracy-cost")) < len(evidence.settings)


def test_a_click_on_a_mark_chooses_its_setting(opened, evidence):
    from selenium.webdriver.common.action_chains import ActionChains

    # The accurate end of the front: a mark alone at its position.
    setting = drawn(opened, "accuracy-bits", "front")[0]
    place = opened.execute_script(
        "const gd = document.getElementById('accuracy-bits');"
        "const trace = gd.data.find(item => item.meta === 'front');"
        "const axes = gd._fullLayout; const box = gd.getBoundingClientRect();"
        "gd.scrollIntoView({block: 'center'}); const now = gd.getBoundingClientRect();"
        "return [now.left + axes.xaxis._offset + axes.xaxis.d2p(trace.x[0]),"
        " now.top + axes.yaxis._offset + axes.yaxis.d2p(trace.y[0])]"
    )
    mouse = ActionChains(opened)
    mouse.w3c_actions.pointer_action.move_to_location(int(place[0]) - 3, int(place[1]))
    mouse.w3c_actions.pointer_action.move_to_location(int(place[0]), int(place[1]))
    mouse.w3c_actions.pointer_action.click()
    mouse.perform()
    wait_for(opened, lambda: drawn(opened, "accuracy-bits", "chosen") == [setting])
    assert text(opened, "bits") == f"{evidence.settings[setting].bits_per_weight:.2f}"
    assert text(opened, "why") == "Chosen setting"
    assert rows(opened, "#front-rows tr.is-chosen")[0].get_attribute("data-setting") == str(setting)


def test_the_selectors_narrow_the_points(opened, evidence):
    choose_option(opened, "scope", "tensor")
    choose_option(opened, "kind", "one")
    kept = marks(opened, "accuracy-bits")
    assert kept == [
        number
        for number, setting in enumerate(evidence.settings)
        if setting.scope == "tensor" and setting.kind.value == "one"
    ]
    choose_option(opened, "bound", "5%")
    assert len(marks(opened, "accuracy-bits")) == len(kept) // 4
    one(opened, "#selection button[type=reset]").click()
    wait_for(opened, lambda: len(marks(opened, "accuracy-bits")) == len(evidence.settings))


def test_another_accelerator_has_its_own_costs(opened, evidence):
    best = choose(evidence, 0.01)
    choose_option(opened, "accelerator", "paper-mesh-8x8")
    choose_option(opened, "placement", "memory-interface")
    choose_option(opened, "timing", "overlap")
    cost = evidence.costs[best, 7]
    assert text(opened, "energy") == f"saved {100 * cost.reduction('energy_J'):.1f} %"
    x = opened.execute_script(
        "return document.getElementById('accuracy-cost').data.find(item => item.meta === 'chosen').x[0]"
    )
    assert x == pytest.approx(cost.compressed["energy_J"], rel=1e-6)
    parts = opened.execute_script("return document.getElementById('energy-parts').data.map(item => item.x)")
    assert sum(part[1] for part in parts) == pytest.approx(cost.compressed["energy_J"], rel=1e-5)
    assert sum(part[0] for part in parts) == pytest.approx(cost.plain["energy_J"], rel=1e-5)


def test_the_accepted_loss_moves_the_headline(opened, evidence):
    before = text(opened, "bits")
    field = one(opened, "#drop")
    field.clear()
    field.send_keys("0.2")
    best = choose(evidence, 0.002)
    assert text(opened, "bits") == f"{evidence.settings[best].bits_per_weight:.2f}" != before


def test_columns_sort(opened):
    def order():
        return [int(row.get_attribute("data-layer")) for row in rows(opened)]

    head = "th[data-sort=weights]"
    run_order = order()
    one(opened, f"{head} button").click()
    assert order() == [4, 3, 2, 0, 1]
    assert one(opened, head).get_attribute("aria-sort") == "descending"
    one(opened, f"{head} button").click()
    assert order() == [1, 0, 2, 3, 4]
    assert one(opened, head).get_attribute("aria-sort") == "ascending"
    one(opened, f"{head} button").click()
    assert order() == run_order


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_it_fits_the_screen(opened, width, scheme):
    from matplotlib.image import imread

    screen(opened, width, scheme)
    wait_for(
        opened,
        lambda: opened.execute_script(
            "return document.getElementById('accuracy-bits')._fullLayout.width <= document.documentElement.clientWidth"
        ),
    )
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    wide = opened.execute_script(
        "return [...document.querySelectorAll('.plot')].filter(item => item.scrollWidth > item.clientWidth + 1)"
        ".map(item => `${item.id} ${item.scrollWidth} in ${item.clientWidth}`)"
    )
    assert wide == []
    heights = opened.execute_script(
        "return [...document.querySelectorAll('.plot')]"
        ".map(item => [item.id, item.clientHeight, item._fullLayout.height])"
    )
    assert [item for item in heights if item[1] != item[2]] == []
    ink = opened.execute_script("return document.getElementById('accuracy-bits').layout.font.color")
    assert ink == ("#18212f" if scheme == "light" else "#e7ecf3")
    picture = imread(io.BytesIO(opened.get_screenshot_as_png()))
    brightness = picture[..., :3].mean()
    assert (brightness > 0.8) if scheme == "light" else (brightness < 0.25), brightness
    # Headings, figures and cards: a blank page has one colour.
    assert picture[..., :3].std() > 0.03


def test_paper_is_light_and_narrow(opened):
    screen(opened, 1400, "dark")
    look = (
        "return [...document.querySelectorAll('.plot')].map(item => [item.layout.font.color, item._fullLayout.width])"
    )
    wait_for(opened, lambda: opened.execute_script(look)[0][0] == "#e7ecf3")
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert opened.execute_script(look) == [["#18212f", 640]] * 5
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    wait_for(opened, lambda: opened.execute_script(look)[0][0] == "#e7ecf3")
    assert opened.execute_script(look)[4][1] > 1000


@pytest.mark.parametrize("case", ["tuning alone", "nothing finished", "one setting", "all lose more"])
def test_the_lesser_pages_have_no_errors_either(browser, tmp_path, case):
    path = tmp_path / "out"
    if case == "tuning alone":
        write_tune(path)
    else:
        options = {
            "nothing finished": {"finished": 0},
            "one setting": {"finished": 1},
            "all lose more": {"labels": ("all",), "bounds": ("20%", "50%")},
        }
        write_exploration(path, **options[case])
    file = tmp_path / "report.html"
    file.write_text(render(read_evidence(path), 0.01), encoding="utf-8")
    browser.get(file.as_uri())
    if case in ("one setting", "all lose more"):
        assert browser.execute_script("return document.documentElement.dataset.ready") == "yes"
    assert console(browser) == []
    if case == "one setting":
        assert "no line to draw" in one(browser, "#bits-bound-empty").text
    if case == "all lose more":
        assert one(browser, "#no-setting").is_displayed()


def test_the_page_is_the_one_that_the_command_writes(good, exploration, page):
    assert good("report", exploration, "--quiet") == ""
    assert (exploration / "report.html").read_text(encoding="utf-8") == page
