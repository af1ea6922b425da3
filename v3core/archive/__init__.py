"""A run in one file: written in full, checked before anything is read from it, imported completely or not at all."""

from v3core.archive.importing import import_archive
from v3core.archive.layout import file_name
from v3core.archive.together import archive_all
from v3core.archive.writing import write_archive

__all__ = ["archive_all", "file_name", "import_archive", "write_archive"]
