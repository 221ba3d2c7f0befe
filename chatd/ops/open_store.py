"""The store that the settings name: a SQLite file, or a MySQL database."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import structlog

from chatd.config import Config
from storage.contract import Store, StoreError
from storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from storage.mysql.adoption.adopt import Adoption

_NO_DRIVER = "database: mysql:// needs the driver PyMySQL: python3 -m pip install PyMySQL, where chatd is installed"


def place_of(config: Config) -> str:
    """Return the database's place for people, without a password. Raises StoreError for an address that is none."""
    if config.database_is_file():
        return str(config.database_path())
    try:
        from storage.mysql.url import parse
    except ModuleNotFoundError:
        raise StoreError(_NO_DRIVER) from None
    return str(parse(config.storage.database))


def open_store(
    config: Config,
    *,
    new_epoch: Callable[[], str],
    development: bool = False,
    new: bool = False,
    upgrade: bool = False,
) -> tuple[Store, list[str]]:
    """Open the store: it, and what its operator should know about it. Raises StoreError.

    `new`: it is made where there is none, `new_epoch` names its lineage, and `development` marks it. `upgrade`: a file
    of an older version is brought to this one's.
    """
    if config.database_is_file():
        store = SqliteStore(
            config.database_path(),
            new_epoch=new_epoch,
            development=development,
            durability=config.storage.durability,
            readers=config.storage.readers,
            new=new,
            upgrade=upgrade,
            report=_report_damage,
        )
        warnings = []
        if store.made and not development:
            warnings.append(f"made a new, empty database {store.path}: nobody is in it yet")
        if store.upgraded:
            warnings.append(f"upgraded {store.path} to this version ({', '.join(store.upgraded)})")
        if store.single:
            warnings.append("this SQLite is too old for several connections: reads and writes share one")
        return store, warnings
    try:
        from storage.mysql.app_files import Sites
        from storage.mysql.store import MysqlStore
    except ModuleNotFoundError:
        raise StoreError(_NO_DRIVER) from None
    server = MysqlStore(
        config.storage.database,
        new_epoch=new_epoch,
        development=development,
        readers=config.storage.readers,
        names=_pairs(config.mysql.names),
        roles=_pairs(config.mysql.roles),
        new=new,
        constants=_pairs(config.mysql.constants),
        receiver_in_groups=config.mysql.receiver_in_groups,
        sites=Sites(
            app=config.server.app_url, own=config.server.public_url, write_files=config.mysql.write_attachments
        ),
        ids=config.mysql.ids,
    )
    return server, server.warnings


def _report_damage(conversation: str, seq: int) -> None:
    structlog.get_logger().error("a message is damaged; run `chatd db check`", conversation=conversation, seq=seq)


def upgrade(config: Config, *, new_epoch: Callable[[], str], development: bool = False) -> list[str]:
    """Give a MySQL database that is chatd's, or empty, what it lacks: what was added. Raises StoreError."""
    try:
        from storage.mysql.upgrade import upgrade
    except ModuleNotFoundError:
        raise StoreError(_NO_DRIVER) from None
    return upgrade(
        config.storage.database,
        new_epoch=new_epoch,
        development=development,
        names=_pairs(config.mysql.names),
        constants=_pairs(config.mysql.constants),
    )


def adoption(config: Config) -> "Adoption":
    """The app's database that the settings name, for `chatd db adopt`. Raises StoreError."""
    if config.database_is_file():
        raise StoreError(f"{config.database_path()}: only a database of MySQL can be adopted: set storage.database")
    try:
        from storage.mysql.adoption.adopt import Adoption
    except ModuleNotFoundError:
        raise StoreError(_NO_DRIVER) from None
    return Adoption(
        config.storage.database,
        names=_pairs(config.mysql.names),
        roles=_pairs(config.mysql.roles),
        constants=_pairs(config.mysql.constants),
        ids=config.mysql.ids,
        body_chars=config.limits.max_body_chars,
    )


def check_server(config: Config) -> Iterator[tuple[Literal["ok", "warning", "wrong"], str]]:
    """Look at the MySQL server that the settings name: lines with their levels. Raises StoreError."""
    try:
        from storage.mysql.checkup import check_up
    except ModuleNotFoundError:
        raise StoreError(_NO_DRIVER) from None
    yield from check_up(config.storage.database, names=_pairs(config.mysql.names), roles=_pairs(config.mysql.roles))


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    """Return name -> value of settings like "Message.content=body"."""
    return dict(setting.split("=", 1) for setting in settings)
