"""The page: one file that holds its document, harmless whatever is in it, and small enough."""

import base64
import hashlib
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import raftkv
from raftkv.viewer import MAX_PAGE_BYTES, render
from tests.viewer.documents import evil, long, small
from tests.viewer.replay import states_after


class Page(HTMLParser):
    """What a browser would see: elements with attributes, and the texts of scripts, styles and title."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style", "title"):
            self._open = f"{tag} {dict(attrs).get('type', '')}".strip()
            self.texts[self._open] = ""

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open] += data

    @property
    def document(self) -> Any:
        return json.loads(self.texts["script application/json"])


@pytest.mark.parametrize("document", [small(), evil()], ids=["small", "evil"])
def test_the_page_holds_the_document_as_it_is(document: dict[str, Any]) -> None:
    assert Page(render(document)).document == document


def test_no_text_of_a_document_becomes_markup() -> None:
    plain, poisoned = Page(render(small())), Page(render(evil()))
    assert [tag for tag, _ in poisoned.elements] == [tag for tag, _ in plain.elements]
    assert poisoned.texts["title"] == evil()["title"]
    assert render(evil()).count("<script") == 2


def test_a_document_that_names_a_place_of_the_frame_is_not_filled_again() -> None:
    document = {**small(), "title": "@@SCRIPT@@", "notes": ["@@DATA@@"]}
    page = Page(render(document))
    assert page.document == document
    assert page.texts["title"] == "@@SCRIPT@@"


def test_nothing_is_loaded_from_outside() -> None:
    text = render(small())
    page = Page(text)
    assert not re.search(r"(?i)\b(https?|wss?|ftp|file):|url\(|@import|\bimport\b|fetch\(|XMLHttp", text)
    assert all("src" not in attributes and "href" not in attributes for _, attributes in page.elements)
    assert {tag for tag, _ in page.elements}.isdisjoint({"link", "img", "iframe", "object", "embed", "base"})


def test_the_policy_allows_the_pages_own_script_and_style_only() -> None:
    page = Page(render(small()))
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    hashes = [
        base64.b64encode(hashlib.sha256(page.texts[name].encode()).digest()).decode()
        for name in ("style", "script")
    ]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        f"base-uri 'none'; form-action 'none'"
    ]
    assert not [a for _, a in page.elements if any(name.startswith("on") or name == "style" for name in a)]


def test_the_script_makes_no_markup_out_of_texts() -> None:
    script = Page(render(small())).texts["script"]
    assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|\beval\b|Function\(", script)


def test_every_element_that_the_script_asks_for_is_there() -> None:
    page = Page(render(small()))
    asked = set(re.findall(r'\bat\("([\w-]+)"\)', page.texts["script"]))
    there = {attributes.get("id") for _, attributes in page.elements}
    assert asked
    assert asked <= there


def test_the_files_that_make_the_page_are_packaged() -> None:
    package = Path(raftkv.__file__).parent
    settings = tomllib.loads((package.parent / "pyproject.toml").read_text())
    named = settings["tool"]["setuptools"]["package-data"]
    files = (package / "viewer").iterdir()
    assets = {f"viewer/{path.name}" for path in files if path.suffix in (".html", ".js", ".css")}
    assert len(assets) == 3
    assert assets <= set(named["raftkv"])


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 1, not 2"):
        render({**small(), "format": 2})


# ---------------------------------------------------------------- too long


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return long(30)


@pytest.fixture(scope="module")
def thin(whole: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = Page(render(whole, 900_000)).document
    return document


def failing(whole: dict[str, Any], at: float) -> dict[str, Any]:
    number = next(i for i, step in enumerate(whole["steps"]) if step["t"] > at)
    return {**whole, "failure": {"step": number, "check": "a check", "rule": "", "source": "", "detail": ""}}


def full_part(document: dict[str, Any]) -> tuple[float, float]:
    since, until = re.findall(r"in full from ([\d.]+) s to ([\d.]+) s", document["notes"][0])[0]
    return float(since), float(until)


def test_a_short_run_is_in_full_without_a_note() -> None:
    assert Page(render(long(3))).document == long(3)


def test_a_long_run_fits_and_says_what_is_left_out() -> None:
    text = render(long(60))
    assert len(text.encode()) <= MAX_PAGE_BYTES
    note = r"shown in full from \d+\.\d+ s to \d+\.\d+ s; of the rest, only changes of roles"
    assert re.search(note, Page(text).document["notes"][0])


def test_the_last_seconds_are_in_full_and_before_there_is_what_matters(
    whole: dict[str, Any], thin: dict[str, Any]
) -> None:
    since, _ = full_part(thin)
    assert 0 < since < 29
    assert {step.get("weight", 1) for step in thin["steps"] if step["t"] < since} == {2}
    assert {int(step["t"]) for step in thin["steps"] if step["t"] < since} == set(range(int(since) + 1))
    expected = [step["text"] for step in whole["steps"] if step["t"] >= since]
    kept = [step["text"] for step in thin["steps"] if step["t"] >= since]
    assert [text for text in kept if text != "what the steps left out had changed"] == expected


@pytest.mark.parametrize("max_bytes", [2_000_000, 500_000, 120_000])
def test_thinned_or_not_every_member_ends_the_same(whole: dict[str, Any], max_bytes: int) -> None:
    document = Page(render(whole, max_bytes)).document
    expected = states_after(whole, len(whole["steps"]))
    found = states_after(document, len(document["steps"]))
    for one, other in zip(expected, found, strict=True):
        log, kept = one.pop("log"), other.pop("log")
        assert one == other
        assert kept == {index: log[index] for index in kept}
        assert len(kept) == len(log) or len(kept) >= 200


def test_members_are_the_same_at_every_step_of_the_full_part(
    whole: dict[str, Any], thin: dict[str, Any]
) -> None:
    kept = thin["steps"][-40]
    place = next(i for i, one in enumerate(whole["steps"]) if one["text"] == kept["text"])
    assert states_after(thin, len(thin["steps"]) - 40) == states_after(whole, place)


def test_messages_are_still_those_of_their_steps(thin: dict[str, Any]) -> None:
    taken = [step for step in thin["steps"] if "message" in step]
    assert taken
    assert {round(step["t"] - thin["messages"][step["message"]]["arrived"], 6) for step in taken} == {0}


def test_what_surrounds_the_failure_is_kept_and_not_the_end(whole: dict[str, Any]) -> None:
    broken = failing(whole, 20)
    document = Page(render(broken, 300_000)).document
    since, until = full_part(document)
    assert since < 20 < until < 25
    step = broken["steps"][broken["failure"]["step"]]
    found = document["steps"][document["failure"]["step"]]
    assert {**found, "add": 0, "message": 0} == {**step, "add": 0, "message": 0}


def test_a_request_that_is_still_open_is_kept(whole: dict[str, Any]) -> None:
    requests = small()["operations"]
    document = Page(render({**whole, "operations": requests}, 500_000)).document
    assert document["operations"] == requests[1:]


def test_what_can_not_be_made_small_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        render(long(10), 50_000)
