"""The shell of all pages: what a page may load, and that its title is text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from clay4d.pages import html_page, policy


class Parsed(HTMLParser):
    """The tags of a page with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_title_is_text() -> None:
    nasty = "</title><script>alert(1)</script>"
    page = Parsed(html_page(title=nasty, body="<p>here</p>"))
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.texts[page.texts.index(nasty)] == nasty and "here" in page.texts


def test_one_head_and_one_script_at_the_end() -> None:
    text = html_page(title="a", body="<p>here</p>", style="p { margin: 0 }", script="let x = 1;")
    names = [tag for tag, _ in Parsed(text).tags]
    assert names.count("title") == names.count("style") == names.count("script") == 1
    assert names[-2:] == ["p", "script"] and text.startswith("<!doctype html>")
    assert ("html", {"lang": "en"}) in Parsed(text).tags


@pytest.mark.parametrize("script", ["", "let x = 1;"])
def test_the_policy_lets_one_script_run(script: str) -> None:
    page = Parsed(html_page(title="a", body="", script=script))
    (said,) = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert said == policy(script) and said.startswith("default-src 'none'")
    assert ("script-src 'sha256-" in said) is bool(script)
    assert "blob:" not in said and "'self'" not in said and "unsafe-eval" not in said
    assert policy("other") != policy("let x = 1;")


def test_workers_and_pictures_of_the_server_are_asked_for() -> None:
    assert policy("x", workers=True).count("blob:") == 2
    assert "img-src data: 'self'" in policy("x", served=True)
