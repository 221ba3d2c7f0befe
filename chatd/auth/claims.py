"""Claims of tokens that others made, found by their paths."""

from collections.abc import Mapping
from typing import Any

from protocol.objects import ROLES, Role


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim at a path like `app_metadata.role`, None where there is none.

    A name may hold points itself, as `https://clinic.example/role` does: the whole path is tried as a name first.
    """
    if path in claims:
        return claims[path]
    for at, sign in enumerate(path):
        if sign == "." and isinstance(below := claims.get(path[:at]), Mapping):
            found = claim_at(below, path[at + 1 :])
            if found is not None:
                return found
    return None


def id_in(claims: Mapping[str, Any], path: str) -> str | None:
    """Return the claim at the path as text, where it is text or a whole number."""
    value = claim_at(claims, path)
    if type(value) is int:  # not bool, which is an int to Python
        return str(value)
    return value if isinstance(value, str) else None


def role_in(claims: Mapping[str, Any], path: str, roles: Mapping[str, Role]) -> Role | None:
    """Return the role that claims give, the highest of those that are named there; None where no path is set.

    What `roles` doesn't name is a patient.
    """
    if not path:
        return None
    value = claim_at(claims, path)
    values = value if isinstance(value, list) else [value]
    given = [roles[one] for one in values if isinstance(one, str) and one in roles]
    return max(given, key=ROLES.index, default="patient")
