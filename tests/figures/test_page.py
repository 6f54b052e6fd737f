"""The pile on one page: what it says, that it loads nothing, and that it works in a real browser."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from helpers.reports import write_report

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.figures import page as page_module

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
browsers = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Debian's chromium and chromium-driver are not here")


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page of two builds of the 25, one with a gap; and of motifs."""
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    for name, n in (("m1-a", 3), ("h2", 2)):
        rng = np.random.default_rng(n)
        made = [Row(rng.poisson(0.2, (20, 3_000)).astype(np.uint8), "s", f"{i}", "segment_0") for i in range(n)]
        if name == "h2":
            made[0].counts[:, 1_000:1_200] = 0
        folder = tmp_path / "build" / name
        arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, name * 8)
        failed = {"sub-A/9.nwb": "expected a recording"} if name == "m1-a" else {}
        write_report(folder, failed)
    path = tmp_path / "report.html"
    page_module.write([data_set.name for data_set in catalog.published()], tmp_path / "motifs", path)
    return path


def test_numbers_flags_and_missing_data_sets_are_on_the_page(page):
    seen = Page(page.read_text(encoding="utf-8"))
    text = " ".join(seen.text.split())
    assert "2 of 25 published data sets built: 300,000 of 40,280,725,744 tokens." in text
    assert "h2: 1 of 2 rows with more than 1 s in which no unit spikes" in text
    missing = re.search(r"Not built: (.*?)\.", text)[1].split(", ")
    assert set(missing) == {d.name for d in catalog.published()} - {"m1-a", "h2"}
    assert sum(tag == "article" for tag, _ in seen.tags) == 25
    assert all(attributes["alt"] for tag, attributes in seen.tags if tag == "img")
    assert sum(tag == "img" for tag, _ in seen.tags) == 4
    assert "redistribution" in text  # the data use agreement of h1


def test_the_page_loads_nothing(page):
    for tag, attributes in Page(page.read_text(encoding="utf-8")).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert tag == "a" or "href" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in page.read_text(encoding="utf-8")


def test_texts_are_not_markup(tmp_path, monkeypatch):
    """What stands in a dataset.toml is text, whatever it holds."""
    evil = '<script>alert("x")</script>'
    import dataclasses

    known = dataclasses.replace(catalog.load("m1-a"), title=evil, caveat=evil, paper=evil)
    monkeypatch.setattr(catalog, "load", lambda name: known)
    monkeypatch.setattr(catalog, "BUILD", tmp_path)
    page_module.write(["m1-a"], tmp_path, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert evil not in html
    assert html.count("<script>") == 1
    policy = Page(html).tags[4][1]["content"]
    script = html.partition("<script>")[2].partition("</script>")[0]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_bars_show_what_is_built_within_what_is_published(page):
    """A bar is as long as what is published; in it is what is built."""
    items = re.findall(r'<li class="bar">(.*?)</li>', page.read_text(encoding="utf-8"))
    told = [re.sub("<[^>]*>", " ", item).split() for item in items]
    assert [words[0] for words in told[:2]] == ["xiao", "neupane-ppc"]
    assert (
        sum("width" in item and 'class="built"' in item for item in items) == 7
    )  # two data sets, areas and species, one signal
    assert any(words[:1] == ["h2"] and words[-2:] == ["120", "k"] for words in told)


def test_what_is_not_built_is_named(page):
    text = " ".join(Page(page.read_text(encoding="utf-8")).text.split())
    assert "m1-a: 1 session file not built (see report.json): sub-A/9.nwb" in text
    said = r"m1-a: differs from what is published: unexpected subjects: s; no rows of"
    assert re.search(said, text)


@pytest.mark.slow
def test_the_page_shows_the_motifs_of_the_corpus_and_reports_a_damaged_table(page, script, tmp_path):
    """From the corpus' own table, not one of a data set whose name begins alike; a damaged one is told."""
    one = np.zeros((2, 16), np.uint8)
    one[0, 2] = one[1, 2] = 1
    folder = tmp_path / "build" / catalog.PILE
    arrow.write_rows(folder / "a.arrow", [Row(one, "s", "1", "segment_0", "m1-a")], rows.MERGED_SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    done = script("extract_motifs.py", "--p_n", "1", "--p_t", "8", "--out_dir", tmp_path / "motifs")
    assert done.returncode == 0, done.stderr
    (table,) = (tmp_path / "motifs").glob("*.parquet")
    table.with_name("primate--mine_(1x8)_motifs.parquet").write_bytes(b"not a table")
    page_module.write(["m1-a", "h2"], tmp_path / "motifs", page)
    text = " ".join(Page(page.read_text(encoding="utf-8")).text.split())
    assert "1 × 8 of neural-pile-primate: 4 patches, 2 unique" in text
    table.write_bytes(b"not a table")
    with pytest.raises(
        BadInput, match=r"expected a table of motifs, found .*; delete it, or run extract_motifs.py again"
    ):
        page_module.write(["m1-a", "h2"], tmp_path / "motifs", page)


def test_the_command_writes_the_page(page, script, tmp_path):
    done = script("visualize_dataset.py", "--report", "--out_dir", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"page: {tmp_path}/page/report.html" in done.stdout
    assert "2 of 25 published data sets built" in (tmp_path / "page" / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@browsers
def test_sorting_searching_and_themes_work_in_a_browser(page, browser):
    """Sort, search, switch: as a user does. Nothing is loaded from elsewhere, nothing is logged as an error."""
    browser.get(page.as_uri())

    def visible(selector):
        return [element for element in browser.find_elements("css selector", selector) if element.is_displayed()]

    def column(i):
        return [row.find_elements("css selector", "th, td")[i].text for row in visible("#table tbody tr")]

    heads = browser.find_elements("css selector", "#table thead button")
    heads[6].click()
    numbers = [int(text.replace(",", "")) for text in column(6)]
    assert numbers == sorted(numbers, reverse=True)
    heads[0].click()
    assert column(0) == sorted(column(0))
    assert browser.find_elements("css selector", "#table thead th")[0].get_attribute("aria-sort") == "ascending"
    heads[0].click()
    assert column(0) == sorted(column(0), reverse=True)

    search = browser.find_element("id", "search")
    search.send_keys("MARMOSET prey")
    assert [article.get_attribute("data-name") for article in visible("article")] == ["moore"]
    assert column(0) == ["moore"]
    assert browser.find_element("id", "found").text == "1 found"
    search.clear()
    search.send_keys("x\b")
    assert len(visible("article")) == 25

    assert [bars.get_attribute("aria-labelledby") for bars in visible("ul.bars")] == [
        "by-component",
        "by-area",
        "by-species",
        "by-signal",
    ]
    before = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    browser.find_element("id", "theme").click()
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != before

    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert urls
    assert all(url.startswith(("file://", "data:")) for url in urls)
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


@browsers
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_keeps_the_rules_of_accessibility(page, browser, theme):
    """axe-core finds nothing: roles, names, contrasts, order of headings."""
    browser.get(page.as_uri())
    browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    browser.execute_script((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


@browsers
def test_the_page_is_light_on_paper(page, browser):
    browser.get(page.as_uri())
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


@browsers
@pytest.mark.parametrize("width", [320, 1280])
def test_no_part_is_wider_than_the_screen(page, browser, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
