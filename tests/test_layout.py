"""The house keeps its shape: imports between the wings run one way, and each wing and module says what it does."""

import ast
from pathlib import Path

import pytest
from helpers import ROOT

# From the ground floor up. A module may import from its own room and from rooms named before it, never from later ones.
# Publishing and opening stand below build, because every preprocess.py can publish what it built.
FLOORS = [
    *(
        "environment",
        "interrupt",
        "errors",
        "files",
        "compile",
        "http_client",
        "catalog",
        "evaluation",
        "cli",
        "figure_files",
    ),  # the hall
    *("acquire", "spikes", "recordings", "corpus", "hub", "open", "build", "motifs", "training", "figures"),
    *("simulation", "readme_tables"),  # used by scripts and by make only
]
PACKAGE = ROOT / "neuralpile"


def modules() -> list[Path]:
    """Every module of the library, relative to the package."""
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room(module: Path) -> str:
    """The wing, or the module in the hall, that a file belongs to."""
    return module.parts[0].removesuffix(".py")


def imported_rooms(source: str, known: set[str]) -> set[str]:
    """The rooms of neuralpile that a source imports, at any depth: late imports and TYPE_CHECKING blocks count."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide the direction"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "neuralpile" and len(part) > 1} & known


def imported_too_early(module: Path) -> list[str]:
    """Rooms that the module imports although they stand above its own."""
    own = FLOORS.index(room(module))
    found = imported_rooms((PACKAGE / module).read_text(encoding="utf-8"), {room(other) for other in modules()})
    return sorted(other for other in found if FLOORS.index(other) > own)


def test_every_room_stands_on_one_floor():
    assert {room(module) for module in modules()} - {"__init__"} <= set(FLOORS)
    assert len(FLOORS) == len(set(FLOORS))


def test_late_imports_and_those_for_types_are_found():
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from neuralpile.hub.reader import HubRows\n"
        "def f():\n    import neuralpile.open\n    from neuralpile import motifs, __version__\n    import numpy\n"
    )
    assert imported_rooms(source, {"hub", "open", "motifs", "build"}) == {"hub", "open", "motifs"}


@pytest.mark.parametrize("module", [m for m in modules() if str(m) != "__init__.py"], ids=str)
def test_a_module_imports_only_from_rooms_before_its_own(module):
    assert not imported_too_early(module), f"{module} imports from rooms above its own"


def test_a_script_is_imported_by_nothing_in_the_library():
    scripts = {path.stem for path in ROOT.glob("*.py")}
    for module in modules():
        for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not scripts & {alias.name.split(".")[0] for alias in node.names}, module
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in scripts, module


@pytest.mark.parametrize("wing", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_wing_says_what_it_does_and_who_may_import_it(wing):
    text = ast.get_docstring(ast.parse((PACKAGE / wing / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(text.splitlines()[0].split()) >= 5
    assert "Imported by" in text


@pytest.mark.parametrize("module", modules(), ids=str)
def test_a_module_says_what_it_does(module):
    first = (ast.get_docstring(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))) or "").split("\n")[0]
    assert len(first.split()) >= 4, "expected a sentence"
    assert "split from" not in first.lower(), "expected what the module does, not where it came from"
    assert first.rstrip().endswith((".", ":")), "expected a whole sentence"
