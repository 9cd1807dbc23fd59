"""The admin's product form: text, price as people write it, cover and files in one go."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from catalog import money, page_choice, publishing, stale, upload_choice
from catalog.cover_images import Cover, render_image_cover
from catalog.filenames import claimed_extension, safe_name
from catalog.filetypes import Refused
from catalog.models import Edition, Product
from catalog.upload_fields import FileOrderField, UploadsField
from catalog.upload_models import Upload
from catalog.uploads import Checked, check, path_of

MAX_COVER_BYTES = 20 * 1024 * 1024


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Several uploads in one field; cleans to a list."""

    widget = ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        uploaded = data if isinstance(data, list | tuple) else [data]
        return [super(ManyFilesField, self).clean(one, initial) for one in uploaded if one]


class ProductForm(forms.ModelForm):
    stamp = forms.CharField(required=False, widget=forms.HiddenInput)  # of what the form was made from
    price = forms.CharField(label=_("Price"), max_length=20, initial="0", help_text=_("Such as 12.50. 0 is free."))
    cover_image = forms.FileField(
        required=False,
        label=_("Cover image"),
        help_text=_("JPEG, PNG, WebP or SVG. Without one, the first page of the PDF becomes the cover."),
    )
    new_files = ManyFilesField(
        required=False,
        label=_("New files"),
        help_text=_("PDF, EPUB, ZIP, audio or video; several at once if you like."),
    )
    uploads = UploadsField(required=False, label=_("Files on their way"))
    file_order = FileOrderField(
        required=False,
        label=_("Order of the files"),
        help_text=_("Of the newest edition: buyers see its files in this order."),
    )
    as_new_edition = forms.BooleanField(
        required=False,
        label=_("Replace: these files are a new edition"),
        help_text=_("Buyers get it too and keep the old one. Otherwise the files join the newest edition."),
    )
    edition_notes = forms.CharField(
        required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}), label=_("What changed")
    )

    class Meta:
        model = Product
        fields = (
            "name", "slug", "summary", "description", "price", "currency",
            "categories", "tags", "sample_pages", "status",
        )  # fmt: skip

    owner_id: ClassVar[int | None] = None  # whose uploads may be saved; the admin sets it for each request

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["stamp"] = getattr(self.instance, "stamp", "")  # the admin reads it before the product
            self.initial["price"] = money.typed(self.instance.price, self.instance.currency)
            newest = self.instance.editions.first()
            files = list(newest.files.all()) if newest else []
            self.initial["file_order"] = {file.pk: file.position for file in files}
            if order := self.fields.get("file_order"):
                order.widget.files = files
        self.checked: list[Checked] = []
        self.arrived: list[Upload] = []
        self.cover: Cover | None = None
        self.edition: Edition | None = None  # that the new files came into, once they are saved

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if Product.objects.exclude(pk=self.instance.pk).filter(name__iexact=name).exists():
            raise ValidationError(_("A product with this name exists already."), code="unique")
        return name

    def clean_sample_pages(self) -> str:
        try:
            return page_choice.normalized(self.cleaned_data["sample_pages"])
        except page_choice.Unclear as error:
            raise ValidationError(
                _("“%(part)s” is neither a page nor a range of pages. Write it like 1-5, 12."),
                code="pages",
                params={"part": error},
            ) from None

    def clean_cover_image(self) -> Any:
        upload = self.cleaned_data["cover_image"]
        if upload:
            if upload.size > MAX_COVER_BYTES:
                raise ValidationError(_("A cover may have up to 20 MB."), code="size")
            try:
                self.cover = render_image_cover(upload.read())
            except Refused as error:
                raise ValidationError(str(error), code="refused") from error
        return upload

    def clean_new_files(self) -> Any:
        """Each upload is checked where it lies; its bytes are stored only once the whole form is right."""
        uploaded = self.cleaned_data["new_files"]
        errors = []
        for upload in uploaded:
            try:
                self.checked.append(check(path_of(upload), upload.name))
            except ValidationError as error:
                errors.append(error)
        if errors:
            raise ValidationError(errors)
        return uploaded

    def clean_uploads(self) -> Any:
        """The rows stay locked until the admin's transaction ends: one upload becomes one file, however often Save is
        pressed."""
        ids = self.cleaned_data["uploads"]
        if ids and self.owner_id is not None:
            self.arrived = upload_choice.locked(self.owner_id, ids)
        return ids

    @property
    def new(self) -> list[Checked | Upload]:
        """All files that come with this form, in their order."""
        return [*self.arrived, *self.checked]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "price" in cleaned:
            try:
                cleaned["price"] = self._price(cleaned)
            except ValidationError as error:
                self.add_error("price", error)
        self._check_stamp(cleaned)
        self._check_edition(cleaned)
        if cleaned.get("status") == Product.Status.PUBLISHED and not self._will_have_files():
            self.add_error("status", publishing.NO_FILE)
        return cleaned

    def _check_stamp(self, cleaned: dict[str, Any]) -> None:
        """A second save goes through: the form that says so has a new stamp. What would change nothing, such as a
        second click on Save, is none of it."""
        now, sent = self.initial.get("stamp", ""), cleaned.get("stamp", "")
        differing = [name for name in self.changed_data if name in stale.HELD]
        if now and differing and stale.is_stale(sent, now):
            labels = [str(self.fields[name].label or self[name].label) for name in differing]
            said = stale.refusal(self.instance, sent, labels, with_files=bool(self.files))
            self.add_error(None, ValidationError(said, code="stale"))
            typed: Any = self.data
            self.data = again = typed.copy()
            again["stamp"] = now

    def _price(self, cleaned: dict[str, Any]) -> int:
        """What is not on sale may be saved at a price that Stripe would refuse."""
        currency = cleaned.get("currency", self.instance.currency)
        price = money.read(cleaned["price"], currency)
        check = money.validate if cleaned.get("status") == Product.Status.PUBLISHED else money.validate_maximum
        check(price, currency)
        return price

    def _check_edition(self, cleaned: dict[str, Any]) -> None:
        """What was said of a new edition is not lost in silence when its files are missing."""
        if self.new or {"new_files", "uploads"} & set(self.errors):
            return
        if cleaned.get("as_new_edition"):
            said = _("Choose the files of the new edition above, or take this tick away.")
            self.add_error("as_new_edition", ValidationError(said, code="files"))
        elif cleaned.get("edition_notes") and self.instance.pk:
            said = _("This tells of a new edition: choose its files above, and tick the box.")
            self.add_error("edition_notes", ValidationError(said, code="files"))

    def _will_have_files(self) -> bool:
        if {"new_files", "uploads"} & set(self.errors):
            return True  # that is enough to mend at a time
        product = self.instance
        newest = product.editions.first() if product.pk else None
        if self.new and (newest is None or newest.published_at or self.cleaned_data.get("as_new_edition")):
            return True
        return bool(product.pk and product.editions.deliverable().exists())


class EditionForm(forms.ModelForm):
    def clean_published_at(self) -> Any:
        published_at, product = self.cleaned_data["published_at"], self.instance.product
        others = product.editions.exclude(pk=self.instance.pk)
        if published_at is None and product.is_on_sale and not others.deliverable().exists():
            raise ValidationError(
                _("Buyers get nothing but this edition. Take the product off sale first."), code="last"
            )
        return published_at


class FileForm(forms.ModelForm):
    def clean_name(self) -> str:
        """The name stays safe to send as a header, with the extension of what is in the file."""
        return safe_name(self.cleaned_data["name"], claimed_extension(self.instance.name))
