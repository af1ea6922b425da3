"""The build of a wheel compiles the native library: where that is not possible, the wheel does without it."""

import importlib.util
import os
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeLibraryHook(BuildHookInterface[Any]):
    """Adds the library, and names the platform that the wheel is then for. `V3_NATIVE=0` builds one for any."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are collected."""
        spec = importlib.util.spec_from_file_location("native_build", Path(self.root, "v3core", "native", "build.py"))
        assert spec is not None
        assert spec.loader is not None
        native = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(native)
        self._folder = tempfile.TemporaryDirectory()  # until the wheel is written
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
