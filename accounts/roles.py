"""Who may change whom. Nobody gives away, or takes over, what they may not do themselves."""

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from accounts.models import User


def may_change(actor: User, person: User) -> bool:
    """Whether `actor` may change this account: its password, addresses and roles lead to all that it may do.

    An account that is switched off counts as what it would be when it is switched on.
    """
    if actor.is_superuser:
        return True
    return not person.is_superuser and _held(person) <= _held(actor)


def giveable(actor: User) -> QuerySet[Group]:
    """The roles that `actor` may give and take: those that allow nothing beyond what they may do themselves."""
    roles = Group.objects.order_by("name")
    if actor.is_superuser:
        return roles
    return roles.exclude(permissions__in=Permission.objects.exclude(pk__in=_held(actor)))


def _held(person: User) -> set[int]:
    own = Permission.objects.filter(Q(user=person) | Q(group__user=person))
    return set(own.values_list("pk", flat=True))
