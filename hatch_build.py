"""The build of a wheel compiles the catalogues of languages, and the native library, which a wheel can do without."""

import importlib.util
import os
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompilingHook(BuildHookInterface[Any]):
    """Adds the library, and names the platform that the wheel is then for. `V3_NATIVE=0` builds one for any."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are collected."""
        self._folder = tempfile.TemporaryDirectory()  # until the wheel is written
        if version != "editable":  # a checkout reads the sources of its catalogues, which change
            self._compile_catalogues(build_data)
        native = self._module("native/build.py")
        target = native.LIBRARY if version == "editable" else Path(self._folder.name) / native.LIBRARY.name
        if os.environ.get("V3_NATIVE") == "0":
            return
        try:
            native.build(target)
        except native.BuildError as error:
            self.app.display_warning(f"Without the native library; runs take longer. {error}")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = f"v3core/native/{target.name}"
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"

    def _compile_catalogues(self, build_data: dict[str, Any]) -> None:
        messages = self._module("messages.py")
        for source in messages.LOCALE.glob(f"*/LC_MESSAGES/{messages.DOMAIN}.po"):
            place = source.relative_to(self.root).with_suffix(".mo")
            target = Path(self._folder.name, place)
            target.parent.mkdir(parents=True)
            target.write_bytes(messages.compile_catalogue(source))
            build_data["force_include"][str(target)] = str(place)

    def _module(self, name: str) -> ModuleType:
        """A module of the package by itself: what the package imports is not there when it is built."""
        path = Path(self.root, "v3core", name)
        spec = importlib.util.spec_from_file_location(f"built_by_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
