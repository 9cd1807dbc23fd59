"""What somebody may have meant by words that nothing was found for."""

from difflib import get_close_matches

from django.contrib.postgres.search import TrigramWordSimilarity
from django.db.models import Q

from catalog.models import Product

NAMES = 5  # that are looked at
ALIKE = 0.6  # of 1, as difflib counts it


def nearest(text: str) -> str:
    """The words of a product's name that are spelled most like these; "" where none are, or these are they."""
    alike = Q(name__trigram_word_similar=text) | Q(name__trigram_similar=text)
    closest = Product.objects.on_sale().filter(alike).order_by(TrigramWordSimilarity(text, "name").desc(), "-pk")
    for name in closest.values_list("name", flat=True)[:NAMES]:
        known = [word.strip(".,:;!?()\"'“”„") for word in name.lower().split()]
        words = [match for word in text.lower().split() for match in get_close_matches(word, known, 1, ALIKE)]
        if words and words != text.lower().split():
            return " ".join(words)
    return ""
