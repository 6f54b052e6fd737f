"""The pile on one page: what it says, that it loads nothing, and that it works in a real browser."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pytest
from helpers.reports import write_report
from helpers.small_corpora import write_rows_of
from helpers.unit_tables import units_of

from neuralpile import catalog
from neuralpile.corpus import arrow, rows, tables
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


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of two builds of the 25, one with a gap; beside the builds."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "BUILD", folder / "build")
        write_builds(folder / "build")
        names = [data_set.name for data_set in catalog.published()]
        page_module.write(names, folder / "motifs", folder / "report.html")
    return folder / "report.html"


def write_builds(build):
    """A build of m1-a, one of whose files failed, and one of h2, with a gap."""
    for name, n in (("m1-a", 3), ("h2", 2)):
        rng = np.random.default_rng(n)
        made = [Row(rng.poisson(0.2, (20, 3_000)).astype(np.uint8), "s", f"{i}", "segment_0") for i in range(n)]
        if name == "h2":
            made[0].counts[:, 1_000:1_200] = 0
        folder = build / name
        arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, name * 8)
        failed = {"sub-A/9.nwb": "expected a recording"} if name == "m1-a" else {}
        write_report(folder, failed)


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


def bar_of(html, name):
    """The widths of a bar by their kind, and its text."""
    items = re.findall(r'<li class="bar"><span>(.*?)</span>(.*?)</li>', html)
    ((_, item),) = [found for found in items if found[0] == name]
    widths = re.findall(r'<i(?: class="(\w+)")? style="width: ([\d.]+)%">', item)
    return {kind or "published": float(width) for kind, width in widths}, re.search(r"<span>(.*)</span>", item)[1]


def test_small_data_sets_have_bars_that_can_be_seen(page):
    """Lengths are logarithms, on the scale that the page states."""
    html = page.read_text(encoding="utf-8")
    assert "from 100 k to 100 G tokens, and each line is ten times the one before" in html
    for name, tokens in (("xiao", catalog.load("xiao").tokens), ("area2-bump", catalog.load("area2-bump").tokens)):
        widths, _ = bar_of(html, name)
        assert widths == {"published": pytest.approx(100 * (np.log10(tokens) - 5) / 6, abs=0.001)}
    assert 'style="--step: 16.667%"' in html


def test_published_tokens_of_several_areas_are_not_divided(page):
    html = page.read_text(encoding="utf-8")
    infos = [info for info in catalog.published() if "V4" in info.area.split(", ")]
    assert {info.name for info in infos} == {"xiao", "papale", "kim"}
    widths, text = bar_of(html, "V4")
    at_most = sum(info.tokens for info in infos)
    assert text == f"≤ {at_most / 1e9:.3g} G"
    alone = catalog.load("kim").tokens
    assert widths["published"] == pytest.approx(100 * (np.log10(alone) - 5) / 6, abs=0.001)
    assert widths["most"] == pytest.approx(100 * (np.log10(at_most) - 5) / 6, abs=0.001)
    assert bar_of(html, "PPC")[1] == "7.9 G"


@pytest.fixture(scope="module")
def with_tables(tmp_path_factory):
    """The page of one build of xiao, which states areas, and one of m1-a without tables."""
    tmp_path = tmp_path_factory.mktemp("with_tables")
    for name in ("xiao", "m1-a"):
        folder = tmp_path / "build" / name
        write_rows_of(folder, [np.ones((5, 200), np.uint8)])
    session = {"source_dataset": "xiao", "subject_id": "sub-A", "session_id": "ses-0", "areas": ["V1", "V4"]}
    session |= {"animal": "<i>Mary</i>", "n_units": 5, "n_bins": 200, "tokens": 1000, "evaluation": ["falcon:train"]}
    units = units_of("xiao", "sub-A", "ses-0", area=["V4", "<script>", "V4", None, "V4"])
    tables.write(tmp_path / "build" / "xiao", pa.Table.from_pylist([session], tables.SESSIONS), units)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "BUILD", tmp_path / "build")
        names = ["xiao", "m1-a", "even-chen", "churchland"]
        page_module.write(names, tmp_path / "motifs", tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_areas_of_builds_are_counted_by_unit(with_tables):
    assert bar_of(with_tables, "V4")[1] == "≤ 17.7 G, built 600, 3 units"
    assert bar_of(with_tables, "&lt;script&gt;")[1] == "built 200, 1 unit"
    assert bar_of(with_tables, "not stated")[1] == "built 200, 1 unit"
    assert bar_of(with_tables, "M1")[1].endswith(", built 1 k, 5 units")  # m1-a has one area
    assert with_tables.count("<script>") == 1


def section(html, heading):
    found = re.search(rf'<h2 id="{heading}">(.*?)</section>', html, re.DOTALL)
    return " ".join(re.sub("<[^>]*>", " ", found[1]).split())


def test_animals_and_evaluation_data_are_on_the_page(with_tables, page):
    """Jenkins is in churchland, and probably in even-chen; two builds are of FALCON, one by its table."""
    animals = section(with_tables, "animals")
    assert "shenoy-jenkins even-chen probable: " in animals
    assert "churchland the animal of NLB MC_Maze" in animals
    assert "chestek-n" not in animals  # neither m2 nor temmar is on this page
    uses = section(with_tables, "uses")
    assert "decoding train m1-a 1 1,000" in uses
    assert "decoding validation m1-a – –" in uses
    assert "&lt;i&gt;Mary&lt;/i&gt; (1 session)" in with_tables
    assert "h1 : The description on DANDI carries a data use agreement" in section(
        page.read_text(encoding="utf-8"), "restricted"
    )
    assert 'id="restricted"' not in with_tables


def test_what_is_not_built_is_named(page):
    text = " ".join(Page(page.read_text(encoding="utf-8")).text.split())
    assert "m1-a: 1 session file not built (see report.json): sub-A/9.nwb" in text
    said = r"m1-a: differs from what is published: unexpected subjects: s; no rows of"
    assert re.search(said, text)


@pytest.mark.slow
def test_the_page_shows_the_motifs_of_the_corpus_and_reports_a_damaged_table(script, tmp_path, monkeypatch):
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
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    page = tmp_path / "report.html"
    page_module.write(["m1-a", "h2"], tmp_path / "motifs", page)
    text = " ".join(Page(page.read_text(encoding="utf-8")).text.split())
    assert "1 × 8 of neural-pile-primate: 4 patches, 2 unique" in text
    table.write_bytes(b"not a table")
    with pytest.raises(
        BadInput, match=r"expected a table of motifs, found .*; delete it, or run extract_motifs.py again"
    ):
        page_module.write(["m1-a", "h2"], tmp_path / "motifs", page)


def test_the_command_writes_the_page(script, tmp_path):
    write_builds(tmp_path / "build")
    done = script("visualize_dataset.py", "--report", "--out_dir", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: m1-a: 1 of its session files")
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
