"""The order in which buyers see the files of an edition."""

from catalog.models import File, Product


def move(product: Product, wanted: dict[int, int]) -> bool:
    """Put the files of the newest edition in the order of these numbers, by the files' ids; whether that moved any.

    Files that are not named keep their number. Ties stay in the order they had; all are numbered from 1 anew.
    """
    edition = product.editions.order_by("-number").first()
    files = list(edition.files.select_for_update()) if edition else []
    moved = False
    for position, file in enumerate(sorted(files, key=lambda file: wanted.get(file.pk, file.position)), start=1):
        if file.position != position:
            moved |= bool(File.objects.filter(pk=file.pk).update(position=position))
    return moved
