"""The build backend: what a wheel is made of is what is there now."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACKAGING = Path(__file__).parents[1] / "packaging"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The backend, beside a page that is built."""
    web = ModuleType("web")
    web.is_built = lambda: True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "web", web)
    spec = importlib.util.spec_from_file_location("backend", PACKAGING / "backend.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_wheel_has_nothing_of_an_earlier_build(
    backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("build/lib/chatd/removed.py", "build/chatd/of_the_binary"):
        Path(name).parent.mkdir(parents=True)
        Path(name).touch()
    found: list[str] = []

    def build_wheel(*_: object) -> str:
        found.extend(str(path) for path in Path("build").rglob("*") if path.is_file())
        return "chatd.whl"

    monkeypatch.setattr(backend.build_meta, "build_wheel", build_wheel)
    assert backend.build_wheel("out") == "chatd.whl"
    assert found == ["build/chatd/of_the_binary"]
