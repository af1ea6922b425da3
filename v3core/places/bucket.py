"""A place that is a bucket of an object store, reached by fsspec: `s3://BUCKET/PREFIX`.

Objects are put whole or not at all, so readers never see half of one. What is read is kept in `cache/` of the folder
of this machine, under the version that it has in the bucket.
"""

import hashlib
import importlib.util
import os
import secrets
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from v3core.errors import V3Error
from v3core.paths import SCRATCH_VARIABLE
from v3core.places.bucket_errors import explained
from v3core.places.place import Place, folder_bytes

CACHE_BYTES = 2 << 30
"""What is kept of files that were read: as much as of made replays."""
IN_USE_SECONDS = 60.0
"""A file that was read within this time is not deleted."""
_S3 = {
    # Whoever waits for a page, or trains, is not held up for minutes by a store that says nothing.
    "config_kwargs": {
        "connect_timeout": 4,
        "read_timeout": 15,
        "retries": {"total_max_attempts": 3, "mode": "standard"},
    },
}


class Bucket(Place):
    """A prefix in a bucket, and a folder of this machine for what is being written."""

    is_remote = True

    def __init__(self, address: str, folder: Path) -> None:
        """Nothing is connected yet.

        Raises:
            V3Error: if the address names no bucket, has credentials in it, or nothing here can reach it.
        """
        super().__init__(folder)
        self._scheme, _, root = address.partition("://")
        self._root = root.strip("/")
        self._address = f"{self._scheme}://{self._root}"
        bucket = self._root.partition("/")[0]
        if ":" in bucket.rpartition("@")[0]:
            raise V3Error(
                "V3_DATA_DIR has credentials in it, which would be seen by others; remove them, and set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead."
            )
        if not bucket:
            raise V3Error(
                "V3_DATA_DIR is {address}, which names no bucket; write {scheme}://BUCKET/PREFIX.",
                address=self._address,
                scheme=self._scheme,
            )
        _check_scheme(self._scheme)
        self._lock = threading.Lock()
        self._opened: tuple[int, Any] | None = None

    @property
    def address(self) -> str:
        """The URL."""
        return self._address

    def variables(self) -> dict[str, str]:
        """Of another machine the folder would be another."""
        return {**super().variables(), SCRATCH_VARIABLE: str(self.folder)}

    @property
    def _store(self) -> Any:
        """The file system of this process: a connection does not survive a fork."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                import fsspec  # only for a bucket: it is not in the base install

                options = _S3 if self._scheme in {"s3", "s3a"} else {}
                store = fsspec.filesystem(self._scheme, use_listings_cache=False, skip_instance_cache=True, **options)
                store.retries = 1  # those of botocore are enough
                self._opened = (os.getpid(), store)
            return self._opened[1]

    def _key(self, path: Path) -> str:
        below = path.relative_to(self.folder).as_posix()
        return self._root if below == "." else f"{self._root}/{below}"

    def _path(self, key: str) -> Path:
        return self.folder / key.removeprefix(f"{self._root}/")

    def name_of(self, file: Path) -> str:
        """The URL of the object."""
        return f"{self._scheme}://{self._key(file)}"

    def check(self) -> None:
        """Put an object of no bytes, and delete it."""
        key = self._key(self.folder / f".check-{secrets.token_hex(4)}")
        with explained(self._address, "written"):
            self._store.pipe_file(key, b"")
            self._store.rm_file(key)

    def _about(self, file: Path) -> dict[str, Any] | None:
        with explained(self._address, "read"):
            try:
                found: dict[str, Any] = self._store.info(self._key(file), refresh=True)
            except FileNotFoundError:
                return None
        return found if found["type"] == "file" else None

    def bring(self, file: Path) -> Path:
        """Its copy on this machine, downloaded unless that is of the version that the bucket has.

        A file that is not in the folder of this place is left where it is.
        """
        if not file.is_relative_to(self.folder):
            return file
        about = self._about(file)
        kept = self.folder / "cache" / file.relative_to(self.folder).parent
        if about is None:
            return kept / "missing" / file.name
        copy = kept / _version(about) / file.name
        if not copy.exists():
            self._download(file, copy)
            keep_within(self.folder / "cache", CACHE_BYTES)
        with suppress(OSError):
            os.utime(copy)
        return copy

    def _download(self, file: Path, copy: Path) -> None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        unfinished = copy.with_name(f".{copy.name}.{secrets.token_hex(4)}.tmp")
        try:
            with explained(self._address, "read"), suppress(FileNotFoundError):  # deleted meanwhile
                self._store.get_file(self._key(file), str(unfinished))
                unfinished.replace(copy)
        finally:
            unfinished.unlink(missing_ok=True)

    def put(self, file: Path) -> None:
        """Upload it, then delete it here."""
        with explained(self._address, "written"):
            self._store.put_file(str(file), self._key(file))
        file.unlink(missing_ok=True)

    def write(self, file: Path, content: bytes) -> None:
        """Put content without a file here."""
        with explained(self._address, "written"):
            self._store.pipe_file(self._key(file), content)

    def read(self, file: Path) -> bytes:
        """The content; empty if it is not there."""
        with explained(self._address, "read"):
            try:
                content: bytes = self._store.cat_file(self._key(file))
            except FileNotFoundError:
                return b""
        return content

    def has(self, file: Path) -> bool:
        """Whether the object is there."""
        return self._about(file) is not None

    def stamp(self, file: Path) -> list[int] | None:
        """A number made of its version, and its bytes."""
        about = self._about(file)
        return None if about is None else [int(_version(about), 16), int(about["size"])]

    def files(self, folder: Path) -> dict[Path, int]:
        """The objects right below a prefix."""
        return {file: size for file, size in self.behind(folder).items() if file.parent == folder}

    def behind(self, folder: Path) -> dict[Path, int]:
        """All objects below a prefix: a request for each thousand."""
        with explained(self._address, "read"):
            try:
                found = self._store.find(self._key(folder), detail=True)
            except FileNotFoundError:
                return {}
        return {self._path(key): int(about["size"]) for key, about in found.items()}

    def bytes_in(self, folder: Path) -> int:
        """Of the objects; what this machine keeps of them can be deleted at any time."""
        return sum(self.behind(folder).values())

    def share(self, source: Path, target: Path) -> None:
        """A copy, made by the store."""
        with explained(self._address, "written"):
            self._store.cp_file(self._key(source), self._key(target))

    def remove(self, file: Path) -> None:
        """Delete the object, and what this machine has of it."""
        with explained(self._address, "written"), suppress(FileNotFoundError):
            self._store.rm_file(self._key(file))
        file.unlink(missing_ok=True)
        for copy in (self.folder / "cache" / file.relative_to(self.folder).parent).glob(f"*/{file.name}"):
            copy.unlink(missing_ok=True)

    def remove_behind(self, folder: Path) -> None:
        """Delete all objects below a prefix, a thousand with each request."""
        with explained(self._address, "written"):
            if keys := [self._key(file) for file in self.behind(folder)]:
                self._store.rm(keys)
        shutil.rmtree(self.folder / "cache" / folder.relative_to(self.folder), ignore_errors=True)


def _check_scheme(scheme: str) -> None:
    missing = importlib.util.find_spec("fsspec") is None
    if not missing:
        from fsspec.registry import available_protocols, get_filesystem_class

        if scheme not in available_protocols():
            raise V3Error(
                "V3_DATA_DIR begins with {scheme}://, which is not known; give a path or s3://BUCKET/PREFIX.",
                scheme=scheme,
            )
        try:
            get_filesystem_class(scheme)
        except ImportError:
            missing = True
    if missing:
        raise V3Error(
            "V3_DATA_DIR begins with {scheme}://, and the package that reads and writes there is not installed; for "
            "s3 install it with `pip install 'v3lab[s3]'` (in a checkout: `pip install -r requirements-s3.txt`).",
            scheme=scheme,
        )


def _version(about: dict[str, Any]) -> str:
    """Fifteen hexadecimal digits that change with the content."""
    known = {name: about.get(name) for name in ("size", "ETag", "VersionId", "LastModified", "mtime", "created")}
    return hashlib.sha256(repr(known).encode()).hexdigest()[:15]


def keep_within(cache: Path, limit: int) -> None:
    """Delete the files that were read the longest ago, until the others take no more than `limit` bytes."""
    if folder_bytes(cache) <= limit:
        return
    files: dict[Path, tuple[float, int]] = {}
    for file in cache.rglob("*"):
        with suppress(OSError):
            if file.is_file():
                files[file] = (file.stat().st_mtime, file.stat().st_size)
    size = sum(taken for _, taken in files.values())
    for file, (used, taken) in sorted(files.items(), key=lambda entry: entry[1]):
        if size <= limit or time.time() - used < IN_USE_SECONDS:
            return
        file.unlink(missing_ok=True)
        size -= taken
