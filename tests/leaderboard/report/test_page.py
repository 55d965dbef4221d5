"""The page: what a reader finds on it, that it holds together, and that nothing gets in or out."""

import base64
import hashlib
import re
from dataclasses import replace

from tests.helpers.html_page import text_of
from tests.helpers.synthetic_results import FAILED, METRICS, ODD_NAME, small_results, with_score

# ---------------------------------------------------------------------------------------------------- what is on it


def test_every_section_is_there_and_linked_to(page):
    links = {text_of(link): link.get("href") for link in page.root.iter("a")}
    assert list(links) == page.headings == [
        "Leaderboard",
        "How to read it",
        "Subsets",
        "Prediction against MOS",
        "By group",
        "Absolute errors",
        "Gallery",
        "The run",
    ]  # fmt: skip
    assert all(page.section(title).get("id") == link.removeprefix("#") for title, link in links.items())


def test_header_says_who_is_best_and_from_what(page):
    header = text_of(page.root.find(".//header"))
    for text in (
        "Who agrees with people? AGIQA-3k",
        "On the official split (45 images) good agrees best with people: SRCC 0.978 [0.945, 0.987].",
        "Not told apart from it (p at least 0.05): fair|*.",
        "Distances in SRCC to the best under 0.012 (of fair|*) to 0.080 (of worse_when_high) cannot be seen with 45",
        "AGIQA-3k, 60 images, MOS from 0 to 5",
        "official (test part), prompt-disjoint (test part)",
        "95 %, 100 bootstrap resamples, seed 0",
        "x86_64, 2 cores, AMD EPYC",
        "2026-11-23 15:00:00 UTC",
    ):
        assert text in header


def test_leaderboard_has_every_figure_of_a_row_in_its_column(page, results):
    (groups, titles), body = page.table("Agreement of every metric with MOS")
    spans = [(text_of(cell), int(cell.get("colspan"))) for cell in groups[1:]]
    assert [name for name, _ in spans] == ["Official", "Prompt-disjoint", "Published, official", "Cost"]
    assert sum(width for _, width in spans) == len(titles) - 1
    assert [text_of(row[0].find("small")) for row in body] == ["", "1 image without score", "lower is better"]
    columns = [text_of(title) for title in titles]
    first = [text_of(cell.find("span")) for cell in body[0]]
    figures = results.splits["official"].rows[0].figures
    for title, key in (
        ("SRCC", "srcc"),
        ("fitted PLCC", "plcc_fitted"),
        ("KRCC", "krcc"),
        ("fitted RMSE", "rmse_fitted"),
    ):
        cell = body[0][columns.index(title)]
        assert text_of(cell.find("span")) == f"{figures[key].value:.4f}"
        assert text_of(cell.find("small")) == figures[key].interval
        assert float(cell.get("data-order")) == figures[key].value
    assert first[columns.index("p")] == "best"
    assert first[columns.index("Images/s") :] == ["7.6", "3.9 M", "1.2 GB"]


def test_columns_say_what_they_mean_and_which_end_is_better(page):
    (_, titles), _ = page.table("Agreement of every metric with MOS")
    by_title = {text_of(title): title for title in reversed(titles)}  # the first of each, of the first split
    assert by_title["SRCC"].get("data-first") == "descending"
    assert by_title["fitted RMSE"].get("data-first") == "ascending"
    assert "lower is better" in by_title["fitted RMSE"].find("button").get("title")
    assert by_title["SRCC from 0 to 1"].get("class") == "strip-cell"


def test_small_drawings_stand_beside_srcc_with_the_published_figure(page):
    _, body = page.table("Agreement of every metric with MOS")
    drawings = [text_of(svg.find("title")) for svg in body[0][2].iter("svg")]
    assert re.fullmatch(r"0\.\d{4} \[.*\], published 0\.8939", drawings[0])


def test_scores_as_they_are_fold_away_in_a_table_of_their_own(page):
    (_, titles), body = page.table("Agreement of the scores as they are")
    assert [text_of(title) for title in titles] == ["Metric", *["raw PLCC", "raw RMSE"] * 2]
    assert len(body) == 3
    folded = [text_of(summary) for summary in page.section("Leaderboard").iter("summary")]
    assert folded == ["The scores as they are, without the fit", "fair|*: 1 image without score"]


def test_metrics_that_could_not_run_are_listed_with_their_reason(page):
    failed = next(element for element in page.elements if element.get("id") == "failed")
    assert [text_of(item) for item in failed] == [f"{name}: {reason}" for name, reason in FAILED]


def test_warnings_of_a_split_stand_only_where_it_is(page, folder, render):
    assert "shares its prompt with a training image" in text_of(page.section("How to read it"))
    assert "A fair figure on the prompt-disjoint split" in text_of(page.section("How to read it"))
    results = small_results(folder)
    results.splits.pop("prompt-disjoint")
    reading = text_of(render(results).section("How to read it"))
    assert "shares its prompt with a training image" in reading
    assert "prompt-disjoint" not in reading


def test_a_section_shows_the_first_split_open_and_one_split_needs_no_folds(page, folder, render):
    details = page.section("Prediction against MOS").findall("details")
    assert [text_of(d.find("summary")) for d in details] == ["Official split", "Prompt-disjoint split"]
    assert [d.get("open") is not None for d in details] == [True, False]
    results = small_results(folder)
    results.splits.pop("prompt-disjoint")
    assert render(results).section("Prediction against MOS").find("details") is None


def test_panels_say_what_they_show(page, results):
    captions = [text_of(caption) for caption in page.section("Prediction against MOS").iter("figcaption")]
    srcc = results.splits["official"].rows[0].figures["srcc"]
    assert captions[0] == f"goodSRCC {srcc.value:.3f} {srcc.interval}"
    groups = [text_of(caption) for caption in page.section("By group").iter("figcaption")]
    assert groups[0] == "SDXL15 images"
    errors = [text_of(caption) for caption in page.section("Absolute errors").iter("figcaption")]
    assert re.fullmatch(r"goodmean error \d\.\d\d, over all \d\.\d\d", errors[0])
    assert "The 11 of 44 images on which fair|* is furthest from MOS" in text_of(page.section("Absolute errors"))


def test_the_run_says_how_to_do_it_again(page):
    run = text_of(page.section("The run"))
    for text in (
        "maagiqa_pyiqa 0.1.0, pyiqa 0.1.16, torch 2.15.0",
        "6061a68c0ffee",
        "SHA-256 of data.csv" + "c5f0" * 16,
        "1a9e" * 16,
        "semantics=visual",
        "agiqa-3k, official split",
        "not known",
    ):
        assert text in run


def test_what_was_trained_on_the_images_is_out_of_the_contest(seen_in_training, render):
    page = render(seen_in_training)
    unfair = [element for element in page.elements if "unfair" in element.get("class", "").split()]
    assert len(unfair) == 4 + 2  # with and without the fit
    assert "descending" not in [element.get("aria-sort") for element in page.elements]
    assert "On the official split (45 images) fair|* agrees best with people" in page.text
    assert "Out of the contest, trained on some of these images: good." in page.text


def test_without_any_metric_the_page_says_so_and_why(folder, render, tmp_path):
    page = render(small_results(folder, metrics=(), failed=[("a", "reason one"), ("b", "reason two")]))
    assert "Nothing can be said on the official split (45 images): no metric has a figure." in page.text
    assert "reason two" in page.text
    assert page.headings == ["Leaderboard", "How to read it", "The run"]
    assert "reason one" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_one_metric_alone_has_no_rival(folder, render):
    headings = render(small_results(folder, metrics=METRICS[:1])).headings
    assert "Gallery" not in headings
    assert "Prediction against MOS" in headings


# ------------------------------------------------------------------------------------------ whole, and closed to others


def test_page_is_well_formed(page):
    assert page.balanced
    ids = [element.get("id") for element in page.elements if element.get("id")]
    assert len(ids) == len(set(ids))
    assert {link.get("href").removeprefix("#") for link in page.root.iter("a")} <= set(ids)
    assert all(image.get("alt") for image in page.root.iter("img"))


def test_page_asks_for_nothing_from_outside(html, page):
    assert not re.search(r"https?://|@import|url\(", html)
    for element in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert element.get(name, "#").startswith(("#", "data:image/"))
        assert not any(name.startswith("on") or name == "style" for name in element.attrib)


def test_policy_lets_in_only_the_pages_own_script_and_style(html, page):
    policies = [m for m in page.root.iter("meta") if m.get("http-equiv") == "content-security-policy"]
    directives = dict(directive.strip().split(" ", 1) for directive in policies[0].get("content").split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[f"{tag}-src"] == f"'sha256-{digest}'"


def test_file_names_prompts_metrics_and_reasons_are_text_and_nothing_else(html, page):
    tags = [element.tag for element in page.elements]
    assert tags.count("script") == 1
    assert "i" not in tags
    assert "<gan>" not in html.lower()
    assert f"{FAILED[0][0]}: {FAILED[0][1]}" in page.text
    assert "Attn<GAN>" in page.text


def test_an_odd_file_name_is_shown_as_it_is(results, render):
    page = render(with_score(results, 0, "good", 40.0))  # the largest miss of all, so it is ringed and in the gallery
    texts = [text_of(element) for element in page.elements]
    assert ODD_NAME in texts
    assert any(text.startswith(f"{ODD_NAME}: MOS ") for text in texts)
    assert [element.tag for element in page.elements].count("script") == 1


def test_a_hostile_name_gets_nowhere_wherever_a_metric_a_column_or_a_data_set_is_named(folder, render):
    hostile = '"><script>alert(1)</script>{{ 7 * 7 }}'
    metrics = [replace(metric, name=f"{hostile}{i}") for i, metric in enumerate(METRICS)]
    page = render(renamed(small_results(folder, metrics=metrics), hostile), where=[f"prompt~{hostile}"])
    assert page.balanced
    assert [element.tag for element in page.elements].count("script") == 1
    assert hostile in page.text
    assert "49" not in {text_of(element) for element in page.elements}


def renamed(results, name):
    """The same results of a data set, a machine and a group of that name."""
    groups = {name: results.splits["official"].groups["generator"]}
    splits = {split: replace(content, groups=groups) for split, content in results.splits.items()}
    dataset = replace(results.dataset, name=name, csv=name)
    return replace(results, dataset=dataset, splits=splits, environment=replace(results.environment, machine=name))
