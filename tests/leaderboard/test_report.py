"""The leaderboard's report: tables, charts, gallery, subsets, and a page that holds together and lets nothing in."""

import base64
import copy
import csv
import hashlib
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pyiqa.default_model_configs import DEFAULT_CONFIGS
from scipy.stats import spearmanr

from benchmarks.ablation import ROWS
from maagiqa_pyiqa.agreement.logistic import apply_logistic
from maagiqa_pyiqa.leaderboard.report import write_report
from maagiqa_pyiqa.leaderboard.report.axes import ticks
from maagiqa_pyiqa.leaderboard.report.figures import bars, densities, error_shares, scatter
from maagiqa_pyiqa.leaderboard.report.gallery import disputes, thumbnail
from maagiqa_pyiqa.leaderboard.report.markup import element
from maagiqa_pyiqa.leaderboard.report.sections import hardest_images
from maagiqa_pyiqa.leaderboard.report.subset import measure, parse_subset
from maagiqa_pyiqa.leaderboard.report.tables import as_csv, as_markdown, as_tex
from maagiqa_pyiqa.leaderboard.report.view import Figure, Predictions, choose_pair, predictions
from tests.helpers.places import ROOT
from tests.helpers.synthetic_results import FAILED, METRICS, ODD_NAME, small_results

VOID = {"meta", "img", "input"}
PUBLISHED = ROOT / "maagiqa_pyiqa" / "leaderboard" / "published.yml"
FIGURES = ("srcc", "plcc", "krcc", "rmse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def _results(folder):
    return small_results(folder)


@pytest.fixture
def results(_results):
    return copy.deepcopy(_results)


@pytest.fixture(scope="module")
def out(_results, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    write_report(_results, out, folder, where=["generator=Attn<GAN> & mos<3", "mos>100"])
    return out


@pytest.fixture(scope="module")
def html(out):
    return (out / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element with its attributes; ``balanced`` if each was closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.balanced, self.texts = [], [], True, []
        self.feed(text)
        self.balanced &= not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def make_predictions(scores, mos, *, lower_better=False, logistic=(5.0, 0.0, 2.5, 1.0)):
    scores, mos = np.array(scores, float), np.array(mos, float)
    return Predictions("metric", lower_better, np.arange(len(mos)), scores, mos, logistic)


# ------------------------------------------------------------------------------------------------------------- tables


def test_exactly_the_four_files_are_written(out):
    assert {path.name for path in out.iterdir()} == {"report.html", "table.md", "table.csv", "table.tex"}


def test_markdown_has_metrics_best_first_with_intervals_and_published_figures(results):
    lines = as_markdown(results).splitlines()
    header, _, first, second = lines[lines.index(next(line for line in lines if "| metric" in line)) :][:4]
    row = results["splits"]["official"]["rows"][0]
    srcc = row["srcc"]
    assert header.index("Official: SRCC") < header.index("Prompt-disjoint: SRCC") < header.index("Published, official")
    assert first.startswith(f"| good | **{srcc['value']:.4f}** [{srcc['low']:.3f}, {srcc['high']:.3f}] |")
    assert f"| 0.8939 ({srcc['value'] - 0.8939:+.4f}) |" in first
    assert f"| 0.9273 ({row['plcc_fitted']['value'] - 0.9273:+.4f}) |" in first  # published PLCC is after the fit
    assert second.startswith("| fair\\|\\* (1 image without score) |")
    assert header.count(" | ") == first.count(" | ") == second.count(" | ")


def test_markdown_marks_the_best_of_every_column_and_lists_failures_last(results):
    rows = results["splits"]["official"]["rows"]
    best = min(rows, key=lambda row: row["rmse_fitted"]["value"])
    text = as_markdown(results)
    assert f"**{best['rmse_fitted']['value']:.4f}**" in text
    assert text.rstrip().splitlines()[-1] == "- out-of-reach: no weights: &lt;b>hub&lt;/b> &amp; 100% out of reach_"


def test_what_was_trained_on_the_images_is_said_and_never_the_best(results, folder, tmp_path):
    first, second, third = rows = results["splits"]["official"]["rows"]
    first |= {"seen_in_training": 31, "is_best": False, "p_against_best": 0.3}
    second |= {"is_best": True, "p_against_best": None}
    rows[:] = [second, third, first]
    text = as_markdown(results)
    assert "| good (trained on 31 official images) |" in text
    assert f"| **{second['srcc']['value']:.4f}**" in text
    assert f"**{first['srcc']['value']:.4f}**" not in text
    assert "\\textbf{" + f"{second['srcc']['value']:.4f}" in as_tex(results)
    write_report(results, tmp_path, folder)
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    unfair = [attributes for tag, attributes in elements.found if "unfair" in attributes.get("class", "")]
    assert len(unfair) == 4 + 2  # with and without the fit
    assert "descending" not in [attributes.get("aria-sort") for _, attributes in elements.found]
    said = "".join(elements.texts)
    assert "On the official split (45 images) fair|* agrees best with people" in said
    assert "Out of the contest, trained on some of these images: good." in said


def test_csv_holds_every_figure_in_full_and_failures_with_their_reason(results):
    rows = list(csv.DictReader(io.StringIO(as_csv(results))))
    expected = results["splits"]["prompt-disjoint"]["rows"]
    assert [row["metric"] for row in rows] == ["good", "fair|*", "worse_when_high", "out-of-reach"]
    for one in expected:
        row = next(row for row in rows if row["metric"] == one["name"])
        for key in ("srcc", "plcc", "krcc", "rmse", "plcc_fitted", "rmse_fitted"):
            assert float(row[f"prompt-disjoint_{key}"]) == one[key]["value"]
            assert float(row[f"prompt-disjoint_{key}_high"]) == one[key]["high"]
        assert int(row["prompt-disjoint_images"]) == one["n"]
    assert float(rows[0]["official_published_rmse"]) == 0.3756
    assert (rows[-1]["status"], rows[-1]["reason"]) == ("failed", FAILED[0][1])
    assert rows[-1]["official_srcc"] == ""
    assert rows[2]["lower_better"] == "True"


def test_tex_is_a_booktabs_table_with_every_name_and_reason_escaped(results):
    text = as_tex(results)
    body = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    columns = len(re.search(r"@\{\}l(r+)@\{\}", text)[1]) + 1
    assert [row.count(" & ") + 1 for row in body] == [columns] * 3
    assert body[0].startswith("good & \\textbf{")
    assert re.search(r"good & \\textbf\{0\.\d{4}\}\$_\{0\.\d{3}\}\^\{0\.\d{3}\}\$ & ", body[0])
    assert body[1].startswith("fair\\textbar{}* & ")
    assert body[2].startswith("worse\\_when\\_high $\\downarrow$ & ")
    assert "no weights: \\textless{}b\\textgreater{}hub" in text
    assert "\\& 100\\% out of reach\\_." in text
    assert text.count("{") == text.count("}")
    for rule in ("toprule", "midrule", "bottomrule", "cmidrule(lr){2-6}", "end{tabular}", "end{table*}"):
        assert f"\\{rule}" in text


def test_a_metric_of_one_split_only_and_a_figure_that_is_not_defined_leave_cells_empty(results):
    rows = results["splits"]["prompt-disjoint"]["rows"]
    rows[:] = [row for row in rows if row["name"] != "good"]
    results["splits"]["official"]["rows"][1]["srcc"] = None
    table = next(csv.DictReader(io.StringIO(as_csv(results))))
    assert (table["metric"], table["prompt-disjoint_srcc"]) == ("good", "")
    lines = as_markdown(results).splitlines()
    assert next(line for line in lines if line.startswith("| fair")).split(" | ")[1] == "-"


# --------------------------------------------------------------------------------------------------------------- page


def test_page_is_well_formed(html):
    elements = Elements(html)
    assert elements.balanced
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in elements.found if tag == "a"]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all("alt" in attributes for tag, attributes in elements.found if tag == "img")


def test_page_asks_for_nothing_from_outside(html):
    assert not re.search(r"https?://|@import|url\(", html)
    for _, attributes in Elements(html).found:
        for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
        assert not any(name.startswith("on") or name == "style" for name in attributes)


def test_policy_lets_in_only_the_pages_own_script_and_style(html):
    policy = next(a["content"] for tag, a in Elements(html).found if a.get("http-equiv") == "content-security-policy")
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[f"{tag}-src"] == f"'sha256-{digest}'"


def test_file_names_prompts_metrics_and_reasons_are_text_and_nothing_else(html):
    elements = Elements(html)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 1
    assert "i" not in tags
    assert "<gan>" not in html.lower()
    said = "".join(elements.texts)
    assert f"{FAILED[0][0]}: {FAILED[0][1]}" in said
    assert "Attn<GAN>" in said


def test_an_odd_file_name_is_shown_as_it_is(results, folder, tmp_path):
    results["images"][0]["scores"]["good"] = 40.0  # the largest miss of all, so it is ringed and in the gallery
    write_report(results, tmp_path, folder)
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert ODD_NAME in elements.texts
    assert any(text.startswith(f"{ODD_NAME}: MOS ") for text in elements.texts)
    assert [tag for tag, _ in elements.found].count("script") == 1


def test_drawings_are_valid_svg_with_finite_coordinates_and_a_description(html):
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("aria-label")
        assert not re.search(r"\b(nan|inf)\b", drawing.replace("</", ""), re.IGNORECASE)


def test_header_says_who_is_best_and_from_what(html):
    said = "".join(Elements(html).texts)
    for text in (
        "On the official split (45 images) good agrees best with people",
        "Not told apart from it (p at least 0.05): fair|*.",
        "100 bootstrap resamples, seed 0",
        "maagiqa_pyiqa 0.1.0, pyiqa 0.1.16, torch 2.15.0",
        "6061a68c0ffee",
        "x86_64, 2 cores, AMD EPYC",
        "c5f0" * 16,
        "1a9e" * 16,
        "2026-11-23 15:00:00 UTC",
        "agiqa-3k, official split",
        "not known",
    ):
        assert text in said


def test_without_any_metric_the_page_says_so_and_why(results, folder, tmp_path):
    bare = small_results(folder, metrics=(), failed=[("a", "reason one"), ("b", "reason two")])
    write_report(bare, tmp_path, folder)
    said = "".join(Elements((tmp_path / "report.html").read_text(encoding="utf-8")).texts)
    assert "Nothing can be said on the official split" in said
    assert "reason two" in said
    assert "Gallery" not in said
    assert "reason one" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_one_metric_alone_has_no_rival(folder, tmp_path):
    write_report(small_results(folder, metrics=METRICS[:1]), tmp_path, folder)
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "gallery" not in [attributes.get("id") for _, attributes in elements.found]
    assert "scatter" in [attributes.get("id") for _, attributes in elements.found]


def test_a_metric_with_too_few_scores_is_listed_with_those_that_could_not_run(results):
    for split in results["splits"].values():
        split["rows"] = split["rows"][:2]
    assert "- worse_when_high: too few images with a score" in as_markdown(results)


def test_markup_escapes_all_but_markup():
    assert element("p", element("b", "<"), "&", class_='a"b') == '<p class="a&quot;b"><b>&lt;</b>&amp;</p>'


# ------------------------------------------------------------------------------------------------------------ figures


def test_predictions_of_a_lower_better_metric_are_mapped_by_the_fit_of_the_negated_score(results):
    shown = predictions(results, "official", "worse_when_high")
    assert spearmanr(shown.scores, shown.mos)[0] < -0.5
    assert np.allclose(shown.on_mos_scale(shown.scores), apply_logistic(-shown.scores, shown.logistic))
    assert spearmanr(shown.on_mos_scale(shown.scores), shown.mos)[0] > 0.5


def test_scatter_draws_every_image_and_rings_the_largest_misses():
    shown = make_predictions([1, 2, 3, 4, 2.5], [1, 2, 3, 4, 0.1])
    drawing = ElementTree.fromstring(scatter(shown, (0, 5), list("abcde")))
    assert sum(path.get("d").count("h0") for path in drawing.iter("path")) == 5
    titles = [title.text for title in drawing.iter("title")]
    assert len(titles) == 3
    assert titles[0] == "e: MOS 0.10, score 2.5, off by 2.40"


def test_scatter_without_a_fit_has_no_curve_and_no_rings():
    drawing = ElementTree.fromstring(scatter(make_predictions([1, 2], [1, 2], logistic=None), (0, 5), ["a", "b"]))
    assert not list(drawing.iter("circle"))
    assert "fit" not in [path.get("class") for path in drawing.iter("path")]


def test_bars_are_as_long_as_their_figures_and_start_at_zero():
    found = {"a": Figure(0.8, 0.7, 0.9), "b": Figure(0.4), "c": Figure(-0.4, -0.5, -0.3), "d": None}
    drawing = ElementTree.fromstring(bars(found, "SRCC", lowest=-0.4))
    a, b, c = [{k: float(rect.get(k)) for k in ("x", "width")} for rect in drawing.iter("rect")]
    assert a["width"] == pytest.approx(2 * b["width"], abs=0.2)
    assert b["width"] == pytest.approx(c["width"], abs=0.2)
    assert c["x"] + c["width"] == pytest.approx(a["x"], abs=0.2)
    assert len([p for p in drawing.iter("path") if p.get("class") == "whisker"]) == 2
    assert "too few images" in [text.text for text in drawing.iter("text")]


def test_error_shares_count_bins_of_a_tenth():
    edges, shares = error_shares(np.array([0.0, 0.05, 0.1, 0.3, 0.39]), 0.39)
    assert np.allclose(edges, [0, 0.1, 0.2, 0.3])
    assert np.allclose(shares, [0.4, 0.2, 0, 0.4])


@pytest.mark.parametrize("highest", [0.3, 0.5, 1.0, 2.7])
def test_the_largest_error_falls_into_the_last_bin(highest):
    edges, shares = error_shares(np.array([0.0, highest]), highest)
    assert shares.sum() == 1
    assert shares[-1] > 0
    assert edges[-1] <= highest <= edges[-1] + 0.1 + 1e-9


def test_densities_show_each_metric_against_the_baseline():
    drawn = densities({"a": np.array([0.1, 0.2]), "b": np.array([0.9, 1.3])}, "b")
    classes = {n: [p.get("class") for p in ElementTree.fromstring(d).iter("path")] for n, d in drawn.items()}
    assert classes == {"a": ["area", "curve", "curve baseline"], "b": ["curve baseline"]}


def test_hardest_images_are_the_quarter_on_which_the_baseline_errs_most():
    shown = make_predictions([2.5] * 8, [2.5, 0, 2.4, 2.6, 5, 2.5, 2.3, 2.5])  # all are mapped to 2.5
    assert set(hardest_images(shown)) == {1, 4}


def test_ticks_are_round():
    assert ticks(0, 5) == [0, 1, 2, 3, 4, 5]
    assert ticks(-0.13, 0.52) == [0, 0.2, 0.4]
    assert ticks(2, 2) == [2]


# ----------------------------------------------------------------------------------------------------------- baseline


def test_baseline_is_the_one_asked_for_else_maniqa_else_the_second_best(results):
    assert choose_pair(results, "official", "worse_when_high") == ("worse_when_high", "good")
    assert choose_pair(results, "official", "good") == ("good", "fair|*")
    assert choose_pair(results, "official", None) == ("fair|*", "good")
    assert choose_pair(results, "official", "out-of-reach") == ("fair|*", "good")
    text = yaml.safe_dump(results).replace("worse_when_high", "maniqa")
    assert choose_pair(yaml.safe_load(text), "official", None) == ("maniqa", "good")


def test_an_unknown_baseline_is_an_error_that_names_the_nearest(results, folder, tmp_path):
    with pytest.raises(ValueError, match="no metric 'god' to be the baseline"):
        write_report(results, tmp_path, folder, baseline="god")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------ gallery


def test_disputes_go_both_ways_strongest_first():
    mos = [1, 2, 3, 4]
    results = {"images": [{"mos": m} for m in mos]}
    good = make_predictions([1, 2.5, 4.4, 4], mos)
    bad = make_predictions([4, 2.5, 3, 1.5], mos)
    won, lost = disputes(results, good, bad)
    assert [dispute.image["mos"] for dispute in won] == [1, 4]
    assert [dispute.image["mos"] for dispute in lost] == [3]
    assert won[0].advantage > won[1].advantage > 0 > lost[0].advantage


def test_gallery_shows_scores_gates_and_says_where_an_image_is_missing(results, folder, tmp_path):
    results["images"][1]["scores"]["good"] = 40.0  # image_001.png is not on disk
    write_report(results, tmp_path, folder)
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "image not found or unreadable" in elements.texts
    assert "Gate of good: semantic content 0.12, coherence -0.20, quality 1.08" in elements.texts
    assert not any(text.startswith("Gate of fair") for text in elements.texts)
    assert "a <i>cat</i> no. 1" in elements.texts


def test_thumbnails_are_small_jpegs(tmp_path):
    Image.new("RGBA", (1000, 500), "red").save(tmp_path / "a.png")
    content = thumbnail(tmp_path / "a.png").removeprefix("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (192, 96)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert thumbnail(tmp_path / "b.png") is None


# ------------------------------------------------------------------------------------------------------------- subset


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("generator=SDXL", lambda i: i["columns"]["generator"] == "SDXL"),
        ("generator == SDXL", lambda i: i["columns"]["generator"] == "SDXL"),
        ("generator!=SDXL", lambda i: i["columns"]["generator"] != "SDXL"),
        ("mos<1.5", lambda i: i["mos"] < 1.5),
        ("mos >= 1.5 & mos<=3", lambda i: 1.5 <= i["mos"] <= 3),
        ("prompt~CAT</i> NO. 1", lambda i: "no. 1" in i["columns"]["prompt"]),
        ("generator~gan> & prompt~5", lambda i: "Attn" in str(i) and "5" in i["columns"]["prompt"]),
        ("name=image_007.png", lambda i: i["name"] == "image_007.png"),
        ("style=", lambda i: True),
        ("style<1", lambda i: False),
    ],
)  # fmt: skip
def test_a_subset_holds_what_fulfils_all_conditions(results, text, keeps):
    expected = [i for i, image in enumerate(results["images"]) if keeps(image)]
    assert list(parse_subset(text, results).positions(results)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genrator=SDXL", "no column 'genrator'. Did you mean 'generator'"),
        ("SDXL", "'SDXL' is no condition"),
        ("", "'' is no condition"),
        ("mos<high", "'high' after < is no number"),
        ("mos<3 &", "'' is no condition"),
    ],
)
def test_a_filter_that_cannot_be_read_is_an_error(results, folder, tmp_path, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_report(results, tmp_path, folder, where=[text])
    assert not list(tmp_path.iterdir())


def test_figures_of_a_subset_are_those_of_its_images(results):
    whole = predictions(results, "official", "worse_when_high")
    part = whole.only(parse_subset("mos>2", results).positions(results))
    found = measure(part, seed=0, resamples=50)
    assert found["srcc"].value == pytest.approx(spearmanr(-part.scores, part.mos)[0])
    assert found["srcc"].low < found["srcc"].value < found["srcc"].high
    assert found["rmse_fitted"].value == pytest.approx(np.sqrt(np.mean(part.errors**2)))
    assert measure(part.only(part.positions[:4]), 0, 50) == dict.fromkeys(found)


def test_page_has_the_subsets_asked_for(html):
    elements = Elements(html)
    assert {"generator=Attn<GAN> & mos<3", "mos>100"} <= set(elements.texts)
    assert any(re.match(r"\d+ of 45 images\.", text) for text in elements.texts)
    assert any(text.startswith("0 of 45 images.") for text in elements.texts)


# ---------------------------------------------------------------------------------------------------------- published


@pytest.fixture(scope="module")
def tables():
    return yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))


def as_list(metric):
    return metric if isinstance(metric, list) else [metric]


def test_the_ablations_rows_have_published_figures(tables):
    published = {name for table in tables for row in table["rows"] for name in as_list(row["metric"])}
    assert {f"{row}@{dataset}" for row in ROWS for dataset in ("agiqa-3k", "aigcqa-20k")} <= published


def test_published_tables_are_all_there(tables):
    assert [(t["table"], t["dataset"], len(t["rows"])) for t in tables] == [
        ("1", "agiqa-3k", 13),
        ("1", "aigcqa-20k", 13),
        ("2", "agiqa-3k", 3),
        ("2", "aigcqa-20k", 3),
        ("3", "agiqa-3k", 7),
        ("4", "aigcqa-20k", 7),
        ("5", "agiqa-3k", 2),
        ("5", "aigcqa-20k", 2),
    ]
    for table in tables:
        assert (table["split"], table["test"]) == ("official", table["dataset"])
        assert table["source"] == f"Wang et al., ACM MM 2024, Table {table['table']}"


def test_published_figures_are_in_range_and_fit_each_other(tables):
    for table in tables:
        spread = {"agiqa-3k": (0.96, 1.01), "aigcqa-20k": (0.70, 0.74)}[table["dataset"]]
        for row in table["rows"]:
            assert 0 < row["krcc"] < row["srcc"] < 1
            assert 0 < row["plcc"] < 1
            if "rmse" in row:  # after a fit that uses all of the correlation it is the MOS spread times this
                assert spread[0] < row["rmse"] / np.sqrt(1 - row["plcc"] ** 2) < spread[1]


def test_only_zero_shot_rows_and_maagiqa_have_the_name_of_a_metric(tables):
    rows = [(table, row, name) for table in tables for row in table["rows"] for name in as_list(row["metric"])]
    names = {name for *_, name in rows if name and "@" not in name}
    assert names == {"brisque", "niqe", "ilniqe", "clipiqa", "clipiqa+", "one-align", "maagiqa"}
    assert names <= set(DEFAULT_CONFIGS)
    for _, row, name in rows:
        if name and "@" in name:
            assert name.split("@")[1] == row["trained_on"]
        elif name != "maagiqa":
            assert name is None or row["trained_on"] is None
    matched = [(table["dataset"], name) for table, _, name in rows if name]
    assert len(matched) == len(set(matched))


def test_published_figures_say_what_the_papers_text_says(tables):
    by_name = {(t["table"], t["dataset"], row["name"]): row for t in tables for row in t["rows"]}
    ours = by_name["1", "agiqa-3k", "MA-AGIQA"]
    for (table, dataset, peer), gains in {  # as stated in sections 4.3 and 4.4
        ("1", "agiqa-3k", "MANIQA"): {"srcc": 3.72, "plcc": 1.73, "krcc": 5.43},
        ("1", "aigcqa-20k", "MANIQA"): {"srcc": 1.61, "plcc": 2.02, "krcc": 2.90},
        ("3", "agiqa-3k", "MANIQA"): {"srcc": 1.57, "plcc": 0.83, "krcc": 2.56},
        ("4", "aigcqa-20k", "MANIQA"): {"srcc": 2.72, "plcc": 1.94, "krcc": 4.35},
        ("5", "agiqa-3k", "concatenation"): {"srcc": 0.20, "plcc": 0.17, "krcc": 0.16},
        ("5", "aigcqa-20k", "concatenation"): {"srcc": 0.67, "plcc": 0.95, "krcc": 1.37},
    }.items():
        ours, other = by_name["1", dataset, "MA-AGIQA"], by_name[table, dataset, peer]
        for key, gain in gains.items():
            assert 100 * (ours[key] / other[key] - 1) == pytest.approx(gain, abs=0.011)


def test_published_rows_stand_in_the_papers_tables(tables, shared):
    text = (shared / "paper.txt").read_text(encoding="utf-8")
    lines = [[digits(token) for token in re.findall(r"\d[\d.]{2,}", line)] for line in text.splitlines()]
    for table in tables:
        for row in table["rows"]:
            wanted = [digits(f"{row[key]:.4f}") for key in FIGURES if key in row]
            assert any(contains(line, wanted) for line in lines), (table["table"], row["name"])


def digits(figure):
    """0.4726, 04726 and 0.47260 alike: the text lost some points."""
    return figure.replace(".", "").strip("0")


def contains(line, wanted):
    return any(line[i : i + len(wanted)] == wanted for i in range(len(line)))


def test_metrics_with_long_names_do_not_break_a_chart():
    name = "a-checkpoint-with-a-very-long-name"
    drawing = ElementTree.fromstring(bars({name: Figure(0.5, 0.4, 0.6)}, "SRCC"))
    assert [title.text for title in drawing.iter("title")] == [f"{name}: 0.5000 [0.400, 0.600]"]
    assert "a-checkpoint-w\u2026" in [text.text for text in drawing.iter("text")]
