"""Reading an untrusted archive: nothing in it is used before it is checked.

No member is unpacked beyond what it and the manifest declare, nothing is held in memory but a piece at a time, and
nothing in it is run.
"""

import hashlib
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from v3core.archive import layout
from v3core.archive.layout import Manifest, Member, is_file, is_known
from v3core.errors import V3Error, explain
from v3core.messages import _
from v3core.store.schema import SCHEMA_VERSION

_PIECE_BYTES = 1 << 20
MAX_SHOWN = 400
"""Maximum length of a problem in characters."""
_END_BYTES = (1 << 16) + 200
"""A ZIP file has its directory record within this many bytes of its end."""
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What zipfile raises over a file that is not as it should be."""


class ArchiveReader:
    """An archive whose names, sizes and versions are in order; its content is checked as it is read."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        """Open a file, or take one that is open for reading and can seek, and look at its directory.

        Raises:
            V3Error: one sentence that names the problem.
        """
        self._name = source.name if isinstance(source, Path) else getattr(source, "name", "The file")
        if isinstance(source, Path):
            _need_file(source)
        try:
            _need_small_directory(source)
            self._zip = zipfile.ZipFile(source)
        except _BROKEN:
            raise V3Error("{name} is not a V3 Lab archive, or is incomplete.", name=self._name) from None
        try:
            self._infos = self._checked_directory()
            self.manifest = self._read_manifest()
            self._members = self._checked_members()
        except BaseException:
            self._zip.close()
            raise

    def close(self) -> None:
        self._zip.close()

    @property
    def files(self) -> list[Member]:
        return [member for name, member in self._members.items() if is_file(name)]

    def has(self, name: str) -> bool:
        return name in self._members

    def small(self, name: str) -> bytes:
        """A member that must be small, whole."""
        if name not in self._members:
            self.refuse(_("it lacks '{name}'", name=name))
        if self._members[name].bytes > layout.MAX_SMALL_BYTES:
            self.refuse(
                _(
                    "'{name}' has {bytes:,} bytes, more than {max_small_bytes:,}",
                    name=name,
                    bytes=self._members[name].bytes,
                    max_small_bytes=layout.MAX_SMALL_BYTES,
                )
            )
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member's content, a piece at a time; its size and checksum are checked at the end."""
        member = self._members[name]
        digest, size = hashlib.sha256(), 0
        for piece in self._unpacked(name):
            size += len(piece)
            if size > member.bytes:
                self.refuse(_("'{name}' is larger than declared", name=name))
            digest.update(piece)
            yield piece
        if size != member.bytes or digest.hexdigest() != member.sha256:
            self.refuse(_("'{name}' is damaged: the checksum does not match", name=name))

    def lines(self, name: str) -> Iterator[bytes]:
        """A member's lines, none longer than `MAX_SMALL_BYTES`."""
        rest = b""
        for piece in self.pieces(name):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > layout.MAX_SMALL_BYTES:
                self.refuse(
                    _(
                        "'{name}' has a row of more than {max_small_bytes:,} bytes",
                        name=name,
                        max_small_bytes=layout.MAX_SMALL_BYTES,
                    )
                )
        if rest:
            yield rest

    def json(self, text: bytes, name: str) -> Any:
        """Parse a member or a row of it as JSON."""
        try:
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return self.refuse(_("'{name}' is not JSON", name=name))

    def refuse(self, problem: str) -> Any:
        """Raise the sentence that says so; nothing was imported."""
        raise V3Error(
            "{name} was refused: {in_one_line}.", name=self._name, in_one_line=_in_one_line(problem.removesuffix("."))
        )

    def _checked_directory(self) -> dict[str, zipfile.ZipInfo]:
        infos: dict[str, zipfile.ZipInfo] = {}
        if len(self._zip.infolist()) > layout.MAX_MEMBERS:
            self.refuse(_("it has more than {max_members:,} members", max_members=layout.MAX_MEMBERS))
        for info in self._zip.infolist():
            # orig_filename: zipfile cuts a name at a zero byte, and turns the separators of the system into slashes.
            name = info.orig_filename
            mode = info.external_attr >> 16
            if name in infos:
                self.refuse(_("it has two members named '{name}'", name=name))
            if not is_known(name) or info.filename != name:
                self.refuse(
                    _(
                        "its member {name!r} does not belong in a V3 Lab archive; the file is from another program, "
                        "or incomplete",
                        name=name[:200],
                    )
                )
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                self.refuse(_("'{name}' is not a plain file", name=name))
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                self.refuse(_("'{name}' is encrypted or compressed with an unsupported method", name=name))
            if info.file_size > layout.MAX_MEMBER_BYTES:
                self.refuse(
                    _(
                        "'{name}' has {file_size:,} bytes, more than {max_member_bytes:,}",
                        name=name,
                        file_size=info.file_size,
                        max_member_bytes=layout.MAX_MEMBER_BYTES,
                    )
                )
            if info.file_size > max(layout.FREE_OF_RATIO_BYTES, layout.MAX_RATIO * info.compress_size):
                self.refuse(
                    _(
                        "'{name}' would unpack to more than {max_ratio} times its size",
                        name=name,
                        max_ratio=layout.MAX_RATIO,
                    )
                )
            infos[name] = info
        total = sum(info.file_size for info in infos.values())
        if total > layout.MAX_BYTES:
            self.refuse(
                _(
                    "it would unpack to {total:,} bytes, more than {max_bytes:,}",
                    total=total,
                    max_bytes=layout.MAX_BYTES,
                )
            )
        return infos

    def _read_manifest(self) -> Manifest:
        info = self._infos.get(layout.MANIFEST)
        if info is None:
            self.refuse(_("it has no manifest; the file is from another program, or incomplete"))
        elif info.file_size > layout.MAX_SMALL_BYTES:
            self.refuse(_("its manifest is too large"))
        content = self.json(b"".join(self._unpacked(layout.MANIFEST)), layout.MANIFEST)
        version = content.get("version") if isinstance(content, dict) else None
        schema = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > layout.VERSION:
            self.refuse(
                _(
                    "it was made by a newer V3 Lab (archive version {version}, this one knows {version2}); update "
                    "V3 Lab",
                    version=version,
                    version2=layout.VERSION,
                )
            )
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            self.refuse(
                _(
                    "it was made by a newer V3 Lab (schema {schema}, this one knows {schema_version}); update V3 Lab",
                    schema=schema,
                    schema_version=SCHEMA_VERSION,
                )
            )
        try:
            return Manifest.model_validate(content)
        except ValidationError as error:
            return self.refuse(explain(error, _("its manifest is invalid")))  # type: ignore[no-any-return]

    def _checked_members(self) -> dict[str, Member]:
        members = {member.name: member for member in self.manifest.members}
        if len(members) != len(self.manifest.members):
            self.refuse(_("its manifest names a member twice"))
        if different := members.keys() ^ (self._infos.keys() - {layout.MANIFEST}):
            self.refuse(_("its manifest and its content differ in '{min}'", min=min(different)))
        for name, member in members.items():
            if member.bytes != self._infos[name].file_size:
                self.refuse(_("its manifest and its content differ in the size of '{name}'", name=name))
        for name in (layout.RUN, layout.CONFIG):
            if name not in members:
                self.refuse(_("it lacks '{name}'", name=name))
        return members

    def _unpacked(self, name: str) -> Iterator[bytes]:
        """At most the declared number of bytes, which zipfile sees to."""
        try:
            with self._zip.open(self._infos[name]) as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except _BROKEN:
            self.refuse(_("'{name}' is damaged", name=name))


def _in_one_line(problem: str) -> str:
    """One line of bounded length without control characters, which an archive might contain."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in problem[:MAX_SHOWN])
    return shown if len(problem) <= MAX_SHOWN else f"{shown}…"


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _need_file(source: Path) -> None:
    """Refuse anything but a readable file: reading a device or a pipe might never end."""
    try:
        mode = source.stat().st_mode
        if stat.S_ISREG(mode):
            source.open("rb").close()
            return
    except FileNotFoundError:
        raise V3Error("There is no file {source}; give a .v3run archive.", source=source) from None
    except OSError as error:
        raise V3Error("{source} cannot be read: {value}.", source=source, value=error.strerror or error) from None
    raise V3Error("{source} is not a file; give a .v3run archive.", source=source)


def _need_small_directory(source: Path | IO[bytes]) -> None:
    """Refuse a file whose directory alone would fill the memory: zipfile reads all of it at once."""
    file = source.open("rb") if isinstance(source, Path) else source
    try:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES))
        tail = file.read()
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or len(tail) < found + 22:
            raise zipfile.BadZipFile
        sizes = [tail[found + 12 : found + 16]]
        if found >= 76 and tail[found - 20 : found - 16] == b"PK\x06\x07":  # the same in the form for large archives
            sizes.append(tail[found - 36 : found - 28])
        if any(int.from_bytes(size, "little") > layout.MAX_MEMBERS * 200 for size in sizes):
            raise zipfile.BadZipFile
        file.seek(0)
    finally:
        if isinstance(source, Path):
            file.close()
