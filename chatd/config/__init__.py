"""Settings: what can be set (`settings`), how it comes together (`layers`), and how it is shown (`show`)."""

from .fields import ConfigError, toml
from .layers import DEFAULT_FILE, Loaded, Source, default_file, load, read
from .settings import (
    DATABASE_FILE,
    SECRET_FILE,
    SECRET_LENGTH,
    SETTINGS,
    TABLES,
    Auth,
    Config,
    Limits,
    Logs,
    Messages,
    Mysql,
    Policy,
    Server,
    Storage,
    Timeouts,
    Tls,
)
from .show import as_toml, example, masked, report

__all__ = [
    "DATABASE_FILE",
    "DEFAULT_FILE",
    "SECRET_FILE",
    "SECRET_LENGTH",
    "SETTINGS",
    "TABLES",
    "Auth",
    "Config",
    "ConfigError",
    "Limits",
    "Loaded",
    "Logs",
    "Messages",
    "Mysql",
    "Policy",
    "Server",
    "Source",
    "Storage",
    "Timeouts",
    "Tls",
    "as_toml",
    "default_file",
    "example",
    "load",
    "masked",
    "read",
    "report",
    "toml",
]
