"""`chatd db upgrade`: brings a database that is chatd's, or still empty, to this program's tables."""

from collections.abc import Callable, Mapping

from storage.contract import StoreError, Unavailable

from . import schema
from .errors import Error
from .kept_names import settled
from .names import Names
from .pool import Pool, told
from .url import parse


def upgrade(
    url: str,
    *,
    new_epoch: Callable[[], str],
    development: bool = False,
    names: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> list[str]:
    """Add what is missing: what was added. Nothing is taken away, and a second time changes nothing.

    An app's tables are to be adopted first (`adoption.py`).

    `new_epoch` names the lineage, and `development` marks the store, where it is a new one. Raises StoreError.
    """
    address = parse(url)
    known = Names.checked(names or {}, constants)
    pool = Pool(address, known, readers=0)
    try:
        db = pool.connect(writer=True, timeout_s=schema.ALTER_TIMEOUT_S)
        try:
            db.run(f"SET SESSION lock_wait_timeout = {schema.ALTER_LOCK_TIMEOUT_S}")
            return schema.upgrade(db, known, epoch=new_epoch(), development=development, settle=settled)
        finally:
            db.close()
    except (StoreError, Unavailable) as error:
        raise StoreError(f"database {address}: {error}") from None
    except (Error, OSError) as error:
        raise StoreError(f"database {address}: {told(error)}") from None
