"""The only door to bytes: may this actor read this file now? Asked again on every request, ranges too."""

from dataclasses import dataclass, field

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User, proven_emails
from catalog.models import File, Product
from fulfillment.models import Download, Entitlement, EntitlementQuerySet
from orders import browser
from orders.models import OrderLine


@dataclass(frozen=True)
class Actor:
    """Who asks: a signed-in user, and the orders that this browser or a valid link stands for."""

    user: User | None = None
    references: frozenset[str] = field(default=frozenset())
    link: str = ""

    @classmethod
    def of(cls, request: HttpRequest, *, link: str = "") -> "Actor":
        """`link` is the reference that a valid, unexpired link token names."""
        user = request.user if isinstance(request.user, User) else None
        return cls(user=user, references=browser.references(request), link=link)


@dataclass(frozen=True)
class Permission:
    """Why the file may be read, for the download log."""

    entitlement: Entitlement | None
    via: Download.Via


def right_of(line: OrderLine) -> Entitlement | None:
    """What a line's buyer got by it; None while it is not paid. No query where it was fetched along."""
    right: Entitlement | None = getattr(line, "entitlement", None)
    return right


def held(actor: Actor) -> EntitlementQuerySet:
    """Every entitlement that this actor holds, whatever its state."""
    theirs = Q(pk__in=[])
    if references := (actor.references | {actor.link}) - {""}:
        named = OrderLine.objects.filter(order__reference__in=references, order__erased_at=None)
        lines = named.values_list("pk", flat=True)
        theirs |= Q(order_line__in=list(lines))  # a list of ids: an OR across tables would read them whole
    if actor.user:
        theirs |= Q(user=actor.user) | Q(email__in=proven_emails(actor.user))
    return Entitlement.objects.filter(theirs)


def held_by_guest(email: str) -> EntitlementQuerySet:
    """What was bought with this address and belongs to no account: whoever proves the address will hold it."""
    return Entitlement.objects.filter(user=None, email=email)


def may_read(actor: Actor, file: File) -> Permission | None:
    """The permission to read `file` now, or None.

    An active entitlement opens every published edition of its product and the one that was sold. A free product on
    sale is open to all. Staff who may see files in the admin may read them.
    """
    product, edition = file.edition.product, file.edition
    rights = held(actor).active(timezone.now()).filter(product=product)
    if edition.published_at is None:
        rights = rights.filter(order_line__edition=edition)
    if entitlement := rights.first():
        return Permission(entitlement, Download.Via.LINK if actor.link else Download.Via.LIBRARY)
    if product.is_free and product.is_on_sale and edition.published_at:
        return Permission(None, Download.Via.FREE)
    if actor.user and actor.user.is_staff and actor.user.has_perm("catalog.view_file"):
        return Permission(None, Download.Via.ADMIN)
    return None


def owned_products(actor: Actor) -> frozenset[int]:
    """The ids of the products that this actor can read now."""
    return frozenset(held(actor).active(timezone.now()).values_list("product_id", flat=True))


def owns(actor: Actor, product: Product) -> bool:
    return held(actor).active(timezone.now()).filter(product=product).exists()
