"""Filters that templates use: {% load shop %}."""

import json
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from catalog import money as amounts

register = template.Library()

# Raw HTML is shown as text and pictures from elsewhere are left out; the parser itself refuses javascript: links.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML that is safe to show, whoever wrote it. Headings start at the second level."""
    tokens = MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    return mark_safe(str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})))  # noqa: S308 - the parser escapes


@register.filter
def money(amount: int, currency: str) -> str:
    """An amount in minor units as people write it: {{ line.amount|money:order.currency }}."""
    return amounts.display(amount, currency)


@register.filter
def json_ld(data: dict[str, Any]) -> SafeString:
    """A block of linked data. A browser does not execute it, so the policy against inline scripts lets it be; nothing
    in it can end it, since all that HTML could see a tag in is written as JSON's own escapes."""
    text = json.dumps(data, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    block = mark_safe(text)  # noqa: S308 - escaped above
    return format_html('<script type="application/ld+json">{}</script>', block)
