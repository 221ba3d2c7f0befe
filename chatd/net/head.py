"""The head of a request: who asks for what, before anything of it is served."""

import attrs


@attrs.frozen
class Head:
    """A request without its body. `raw_path` is the path as sent, `path` decoded; the query is in neither.

    `query`: as sent; it may hold a token, so it is never logged.
    """

    method: str
    raw_path: str
    path: str
    headers: list[tuple[bytes, bytes]]
    """Headers in the order sent, names in lower case."""
    http_version: str = "1.1"
    query: bytes = attrs.field(default=b"", repr=False)

    def get(self, name: bytes) -> bytes | None:
        """Return the first header called `name` (lower case), if any."""
        return next((value for key, value in self.headers if key == name), None)

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of every header called `name` (lower case)."""
        return [value for key, value in self.headers if key == name]

    def has_token(self, name: bytes, token: bytes) -> bool:
        """Return True if a list-valued header contains `token` (lower case), in any of its lines."""
        values = b",".join(self.all(name))
        return token in (part.strip() for part in values.lower().split(b","))
