"""Categories and tags as boxes to tick: a dozen of them take a few lines, with or without a script."""

from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString


class Ticks(forms.CheckboxSelectMultiple):
    """`called` names the group to who cannot see it. static/ticks.js adds what is made in Django's small window."""

    def __init__(self, called: Any = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.called = called

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """By the shop's own templates: those of Django's forms are looked for elsewhere."""
        options = list(self.options(name, self.format_value(value), attrs))
        return render_to_string(
            "admin/shop/ticks.html", {"name": name, "called": self.called, "options": options, "id": f"id_{name}"}
        )
