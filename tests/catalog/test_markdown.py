"""Descriptions come from the shop's own staff, and are shown as if they came from anybody."""

import pytest
from django.template import Context, Template

from catalog.templatetags.shop import markdown


@pytest.mark.parametrize(
    "text, html",
    [
        ("# One\n\n## Two\n\n###### Six", "<h2>One</h2>\n<h3>Two</h3>\n<h6>Six</h6>\n"),
        ("Title\n=====", "<h2>Title</h2>\n"),
        ("*a* **b** `c`", "<p><em>a</em> <strong>b</strong> <code>c</code></p>\n"),
        ("[shop](https://a.example/?a=1&b=2)", '<p><a href="https://a.example/?a=1&amp;b=2">shop</a></p>\n'),
        ("[page](/products/x/)", '<p><a href="/products/x/">page</a></p>\n'),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("a < b & c", "<p>a &lt; b &amp; c</p>\n"),
        ("{{ 7|add:7 }} {% now %}", "<p>{{ 7|add:7 }} {% now %}</p>\n"),
        ("", ""),
    ],
)
def test_markdown_becomes_html(text: str, html: str) -> None:
    assert markdown(text) == html


def test_table_is_shown() -> None:
    html = markdown("|a|b|\n|-|-|\n|1|2|")
    assert "<table>" in html
    assert "<td>2</td>" in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//evil.example></SCRIPT>",
        "<img src=x onerror=alert(1)>",
        "a <b onmouseover=alert(1)>b</b>",
        "<svg/onload=alert(1)>",
        "<style>*{}</style>",
        "<!-- x --><iframe src=x>",
        "![x](https://evil.example/pixel.png)",
        "![x][y]\n\n[y]: https://evil.example/pixel.png",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java&#10;script:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x]( javascript:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](file:///etc/passwd)",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "<javascript:alert(1)>",
        '[x](https://a.example "\\" onclick=\\"alert(1)")',
        "```<script>\nx\n```",
        "# <script>x</script>",
        "|<script>|\n|-|\n|<img src=x onerror=x>|",
    ],
)
def test_s58_s63_markdown_brings_in_nothing_that_runs_or_loads(text: str) -> None:
    html = markdown(text).lower()
    for tag in ("<script", "<img", "<svg", "<style", "<iframe", "<b ", "<!--"):
        assert tag not in html
    for start in ('href="javascript', 'href="vbscript', 'href="data', 'href="file', '" onclick', "src="):
        assert start not in html.replace("&lt;img src=", "").replace("script src=", "").replace("&lt;iframe src=", "")


def test_filters_are_there_for_templates() -> None:
    template = Template("{% load shop %}{{ text|markdown }}{{ amount|money:currency }}")
    assert template.render(Context({"text": "*a*", "amount": 1250, "currency": "usd"})) == "<p><em>a</em></p>\n$12.50"


def test_long_and_deep_markdown_ends_soon() -> None:
    for text in ("[" * 20_000, "*a " * 7_000, "> " * 10_000, "`" * 20_000, "<" * 20_000, "&#" * 10_000):
        assert isinstance(markdown(text), str)
