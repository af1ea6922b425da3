"""Curricula as YAML files: presets in data/curricula/, or a user's own."""

from pathlib import Path
from typing import Any

import yaml

from v3core.curriculum.fit import environments_of
from v3core.curriculum.model import Curriculum
from v3core.errors import V3Error, explained, suggestion
from v3core.paths import shipped

PRESETS = shipped("data", "curricula")


def preset_names() -> list[str]:
    """Names of the presets, `v3` first, then alphabetically."""
    return sorted((path.stem for path in PRESETS.glob("*.yaml")), key=lambda name: (name != "v3", name))


def preset_names_for(env: str) -> list[str]:
    """Names of the presets that can train on an environment: those that name no other."""
    return [name for name in preset_names() if env in (environments_of(load_preset(name)) or (env,))]


def load_preset(name: str) -> Curriculum:
    """The preset of that name; raises a V3Error with close matches if there is none."""
    names = preset_names()
    if name not in names:
        hint = suggestion(name, names) or f"The presets are {', '.join(names)}."
        raise V3Error(f"There is no curriculum preset '{name}'. {hint}")
    return _load_file(PRESETS / f"{name}.yaml")


def _load_file(path: Path) -> Curriculum:
    """A curriculum from a YAML file; raises a V3Error if it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise V3Error(f"Curriculum file {path} is not a text file; it must be YAML in UTF-8.") from None
    except OSError as error:
        raise V3Error(f"Curriculum file {path} cannot be read: {error.strerror or error}.") from None
    return parse(text, subject=f"Curriculum file {path}")


def parse(text: str, subject: str = "Curriculum") -> Curriculum:
    """A curriculum from YAML text; `subject` begins every error sentence."""
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise V3Error(f"{subject} is not valid YAML{where}: {problem}.") from None
    if not isinstance(content, dict):
        raise V3Error(f"{subject} must be a mapping with 'name' and 'phases'.")
    with explained(subject):
        return Curriculum.model_validate(content)


def load_curriculum(name_or_path: str) -> tuple[Curriculum, bool]:
    """A preset by name or a file by path, and whether it was a preset; raises a V3Error if it is neither."""
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.exists() or len(path.parts) > 1:
        return _load_file(path), False
    return load_preset(name_or_path), True


def dump(curriculum: Curriculum) -> str:
    """The curriculum as YAML, keys in the order of the model."""
    return yaml.safe_dump(curriculum.to_dict(), sort_keys=False, allow_unicode=True)
