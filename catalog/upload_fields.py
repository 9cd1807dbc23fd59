"""Two fields of the product form: files that arrived before it, and the order of those that are there."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from catalog import upload_choice
from catalog.models import File

LAST = 32_767  # the largest position that a row holds


class UploadsField(forms.Field):
    """Public ids of uploads in their order, one hidden input each."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[uuid.UUID]:
        try:
            ids = [uuid.UUID(one) for one in value or []]
        except (ValueError, AttributeError):
            ids = [uuid.UUID(int=0)]  # nobody's, which the form says like that of any other
        if len(ids) > upload_choice.MOST:
            raise ValidationError(_("Save at most %(most)s files at a time."), params={"most": upload_choice.MOST})
        return ids


class FileOrderWidget(forms.Widget):
    """A number for each file; static/upload.js lets them be dragged instead."""

    template_name = "admin/shop/file_order.html"
    files: Sequence[File] = ()  # the form gives its widget those of the newest edition

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """By the shop's own templates: those of Django's forms are looked for elsewhere."""
        return render_to_string(self.template_name, self.get_context(name, value, attrs))

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """`value`: the files by their ids, or after a mistake what was typed for each."""
        typed = {pk: one for pk, one in (value or {}).items() if isinstance(one, str)}
        rows = [(file, typed.get(file.pk, file.position)) for file in self.files]
        return {"widget": {"name": name, "rows": rows, "is_hidden": False}}

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[int, str]:
        start = f"{name}-"
        return {
            int(key.removeprefix(start)): value
            for key, value in data.items()
            if key.startswith(start) and key.removeprefix(start).isascii() and key.removeprefix(start).isdecimal()
        }


class FileOrderField(forms.Field):
    """Positions by the ids of files."""

    widget = FileOrderWidget

    def clean(self, value: Any) -> dict[int, int]:
        try:
            wanted = {pk: int(typed) for pk, typed in (value or {}).items()}
        except ValueError:
            wanted = {0: 0}
        if not all(1 <= position <= LAST for position in wanted.values()):
            raise ValidationError(_("The place of a file is a number from 1."), code="position")
        return wanted

    def has_changed(self, initial: Any, data: Any) -> bool:
        return any(
            pk in (initial or {}) and str(initial[pk]) != str(typed).strip() for pk, typed in (data or {}).items()
        )
