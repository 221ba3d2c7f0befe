"""The table of operations: which one a request's path and method mean.

Paths are matched as they were sent, part by part, and each part is decoded then: ids may hold a slash.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from .operation import Operation

Methods = Mapping[str, Operation]


class RouteTable:
    """Looks operations up. Raises ValueError where two of them have the same path and method."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._fixed: dict[str, dict[str, Operation]] = {}
        self._patterns: dict[int, dict[tuple[str, ...], dict[str, Operation]]] = {}
        for operation in operations:
            parts = tuple(operation.path.split("/"))
            if "{" in operation.path:
                methods = self._patterns.setdefault(len(parts), {}).setdefault(parts, {})
            else:
                methods = self._fixed.setdefault(operation.path, {})
            if operation.method in methods:
                raise ValueError(f"twice: {operation.method} {operation.path}")
            methods[operation.method] = operation

    def find(self, raw_path: str) -> tuple[Methods, dict[str, str]]:
        """Return the operations of a path, by method, and the values of its parameters; none: nothing is there."""
        fixed = self._fixed.get(raw_path)
        if fixed is not None:
            return fixed, {}
        parts = [unquote(part) for part in raw_path.split("/")]
        for pattern, methods in self._patterns.get(len(parts), {}).items():
            params = _match(pattern, parts)
            if params is not None:
                return methods, params
        return {}, {}


def methods_of(methods: Methods) -> set[str]:
    """Return the methods that are answered; HEAD is where GET is, and OPTIONS everywhere."""
    return {*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}


def _match(pattern: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            if not part:
                return None
            params[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return params
