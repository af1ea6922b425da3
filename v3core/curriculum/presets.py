"""Curricula as YAML files: presets in data/curricula/, or a user's own."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from v3core.atomic_write import whole_file
from v3core.curriculum.fit import check_router_learns, trains_on
from v3core.curriculum.model import MAX_NAME, Curriculum
from v3core.errors import V3Error, explained, suggestion
from v3core.messages import _
from v3core.paths import data_dir, shipped
from v3core.phrases import listed
from v3core.places import PlaceError, place_here

PRESETS = shipped("data", "curricula")


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def saved_presets() -> Path:
    """The folder of the presets that people saved: in the data folder."""
    return data_dir() / "curricula"


def preset_names() -> list[str]:
    """Names of the presets, `v3` first, then alphabetically, those that people saved too."""
    names = {path.stem for path in PRESETS.glob("*.yaml")}
    with suppress(PlaceError, OSError):  # those that come with V3 Lab are there
        names |= {path.stem for path in place_here().files(saved_presets()) if path.suffix == ".yaml"}
    return sorted(names, key=lambda name: (name != "v3", name))


def save_preset(curriculum: Curriculum, name: str) -> Path:
    """Save a curriculum as a new preset under this name; returns its file.

    Raises:
        V3Error: for a name that is no file's, or that a preset has already, or if it cannot be written.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise V3Error(
            "'{name}' is not a name for a preset; use up to {max_name} letters, digits, dots, dashes and "
            "underscores, without blanks.",
            name=name[:MAX_NAME],
            max_name=MAX_NAME,
        )
    if name.lower() in {known.lower() for known in preset_names()}:
        raise V3Error("There is already a preset '{name}'; choose another name.", name=name)
    file = saved_presets() / f"{name}.yaml"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise V3Error(
            "The folder {parent} cannot be made: {value}.", parent=file.parent, value=error.strerror or error
        ) from None
    with whole_file(file) as unfinished:
        unfinished.write_text(dump(curriculum.model_copy(update={"name": name})), encoding="utf-8")
    place_here().put(file)
    return file


def preset_names_for(env: str) -> list[str]:
    """Names of the presets that can train on an environment: those that name no other, and can be read."""
    return [name for name in preset_names() if _trains_on(name, env)]


def _trains_on(name: str, env: str) -> bool:
    try:
        return trains_on(load_preset(name), env)
    except V3Error:  # a file that somebody put there
        return False


def load_preset(name: str) -> Curriculum:
    """The preset of that name; raises a V3Error with close matches if there is none."""
    names = preset_names()
    if name not in names:
        hint = suggestion(name, names) or _("The presets are {names}.", names=listed(list(names)))
        raise V3Error("There is no curriculum preset '{name}'. {hint}", name=name, hint=hint)
    file = PRESETS / f"{name}.yaml"
    return _load_file(file if file.exists() else place_here().bring(saved_presets() / file.name))


def _load_file(path: Path) -> Curriculum:
    """A curriculum from a YAML file; raises a V3Error if it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise V3Error("Curriculum file {path} is not a text file; it must be YAML in UTF-8.", path=path) from None
    except OSError as error:
        raise V3Error(
            "Curriculum file {path} cannot be read: {value}.", path=path, value=error.strerror or error
        ) from None
    return parse(text, subject=_("Curriculum file {path}", path=path))


def parse(text: str, subject: str = _("Curriculum")) -> Curriculum:
    """A curriculum from YAML text; `subject` begins every error sentence."""
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = _(" at line {value}", value=mark.line + 1) if mark is not None else ""
        problem = getattr(error, "problem", None) or _("it cannot be parsed")
        raise V3Error(
            "{subject} is not valid YAML{where}: {problem}.", subject=subject, where=where, problem=problem
        ) from None
    if not isinstance(content, dict):
        raise V3Error("{subject} must be a mapping with 'name' and 'phases'.", subject=subject)
    with explained(subject):
        return Curriculum.model_validate(content)


def load_curriculum(name_or_path: str) -> tuple[Curriculum, bool]:
    """A preset by name or a file by path, and whether it was a preset; raises a V3Error if it is neither."""
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.exists() or len(path.parts) > 1:
        curriculum = _load_file(path)
        check_router_learns(curriculum)
        return curriculum, False
    return load_preset(name_or_path), True


def dump(curriculum: Curriculum) -> str:
    """The curriculum as YAML, keys in the order of the model."""
    return yaml.safe_dump(curriculum.to_dict(), sort_keys=False, allow_unicode=True)
