"""The launch environment of a run, saved with it so that any process can start it: folders and variables.

A worker is started with exactly these, not with the import folders and variables of the process that starts it.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from v3core import __version__
from v3core.config import RunConfig
from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import COMMAND, import_folders
from v3core.store.run_row import RunRow

NAMES = frozenset(
    {
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PYTHONPATH", "PYTHONSAFEPATH"),  # importing and finding programs
        *("PYTHONHASHSEED", "V3_KEEP_CHECKPOINTS", "V3_NATIVE"),  # computing and keeping
        *("DISPLAY", "LANG", "TZ", "WAYLAND_DISPLAY", "XAUTHORITY"),  # drawing and writing
    }
)
"""Variables that decide what a run can import, which programs and libraries it finds, and what it computes or draws."""
PREFIXES = (
    *("ALE_", "GYM_", "GYMNASIUM_", "MINARI_", "MUJOCO_", "PYGAME_", "SDL_"),  # environments
    *("EGL_", "LIBGL_", "MESA_", "PYOPENGL_"),  # drawing without a screen
    *("CUDA_", "CUBLAS_", "MKL_", "NUMBA_", "OPENBLAS_", "PYTORCH_", "TORCH_", "JAX_", "XLA_", "TF_"),  # computing
    "LC_",
)
MORE = "V3_RUN_VARIABLES"
"""A variable that names further ones, separated by commas, for environments that V3 Lab does not know."""
_SECRETS = ("KEY", "PASS", "SECRET", "TOKEN", "CREDENTIAL")
_FOLDERS = frozenset({"LD_LIBRARY_PATH", "PATH"})
"""Lists of folders, which are saved as absolute paths; those of PYTHONPATH have a separate field."""


@dataclass(frozen=True)
class Launch:
    """Where and how a run was launched."""

    python: str
    """The interpreter, whose packages it may need."""
    folder: str
    """The working folder, absolute: modules are imported from it, and relative files read."""
    path: tuple[str, ...]
    """The folders of PYTHONPATH that were there, absolute."""
    variables: dict[str, str]
    imports: bool
    """Whether an environment of it has the form `module:Env-v0`, which imports code that V3 Lab does not bring."""
    version: str = __version__
    """Of the V3 Lab that launched or resumed it last."""

    def to_json(self) -> str:
        """For the run's row. What is not UTF-8 in a folder's name survives."""
        return json.dumps(asdict(self))

    def missing(self) -> str | None:
        """What this machine lacks to start it, in words; None if it can be started here."""
        if not (self.imports or self.path):
            return None  # it needs neither its folders nor its interpreter
        if not os.access(self.python, os.X_OK):
            return _("its Python {python}", python=self.python)
        lost = next((folder for folder in self.path if not os.access(folder, os.R_OK)), None)
        if lost is None and self.imports and not os.access(self.folder, os.R_OK | os.X_OK):
            lost = self.folder
        return None if lost is None else _("its import folder {lost}", lost=lost)

    def interpreter(self) -> str:
        """The Python to start it with here."""
        return self.python if os.access(self.python, os.X_OK) else sys.executable

    def working_folder(self, otherwise: Path) -> str:
        """Where to start it here."""
        return self.folder if os.access(self.folder, os.R_OK | os.X_OK) else str(otherwise)

    def environment(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables of its process: the saved ones, and from `base`, those of the starting process, all others."""
        named = _named(self.variables)
        kept = {name: value for name, value in base.items() if not _matters(name, named)}
        return kept | self.variables | {"PYTHONPATH": os.pathsep.join([*import_folders(), *self.path])}


def capture(config: RunConfig) -> Launch:
    """The launch environment of this process, for a run."""
    imports = any(":" in env for env in [config.env, *(phase.env or "" for phase in config.curriculum.phases)])
    return replace(here(), imports=imports)


def here() -> Launch:
    """The launch environment of this process."""
    named = _named(os.environ)
    variables = {name: value for name, value in os.environ.items() if _matters(name, named) and name != "PYTHONPATH"}
    for name in _FOLDERS & variables.keys():
        variables[name] = os.pathsep.join(absolute_folders(variables[name]))
    folders = tuple(folder for folder in absolute_folders(os.environ.get("PYTHONPATH", "")) if Path(folder).exists())
    return Launch(os.path.abspath(sys.executable), os.getcwd(), folders, variables, imports=False)  # noqa: PTH100, PTH109


def launch_of(run: RunRow) -> Launch | None:
    """What is kept with a run; None for one of an earlier version, or from an archive."""
    if run.launch_json is None:
        return None
    try:
        values = json.loads(run.launch_json)
        launch = Launch(**{"version": "", **values, "path": tuple(values["path"])})
    except (ValueError, TypeError, KeyError):
        return None  # an unreadable value is ignored
    return launch


def waits_for(run: RunRow) -> str | None:
    """Why this machine does not start a queued run, as one sentence; None if it does once a slot is free."""
    launch = launch_of(run)
    missing = launch.missing() if launch else None
    if missing is None:
        return None
    return _(
        "Waiting for {missing}, which does not exist on this machine; restore it, or stop the run and resume it "
        "with: {command} resume {id} --here.",
        missing=missing,
        command=COMMAND,
        id=run.id[:8],
    )


def renewed(run: RunRow, *, here: bool, command: Literal["resume", "fork"] = "resume") -> str:
    """The launch environment of a run that is resumed or forked, for its row; with `here` that of this process.

    A V3Error says which of the folders that it was launched with are not on this machine.
    """
    launch = launch_of(run)
    if here or launch is None:
        return capture(run.config).to_json()
    if missing := launch.missing():
        raise V3Error(
            "Run {id} '{name}' was launched with {missing}, which does not exist on this machine; restore it, or "
            "{command} from a shell in which its imports work: {command2} {command} {id} --here.",
            id=run.id[:8],
            name=run.name,
            missing=missing,
            command=command,
            command2=COMMAND,
        )
    return replace(launch, version=__version__).to_json()


def absolute_folders(text: str) -> list[str]:
    """The folders of a list such as PYTHONPATH, absolute; an empty entry is the working folder."""
    return [os.path.abspath(folder) for folder in text.split(os.pathsep)] if text else []  # noqa: PTH100


def _named(variables: Mapping[str, str]) -> frozenset[str]:
    return frozenset({MORE, *(name.strip() for name in variables.get(MORE, "").split(","))})


def _matters(name: str, named: frozenset[str]) -> bool:
    if name in named or name in NAMES:
        return True
    return name.startswith(PREFIXES) and not any(word in name.upper() for word in _SECRETS)
