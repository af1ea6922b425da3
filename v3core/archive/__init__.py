"""A run in one file: written whole, checked before anything is taken from it, imported whole or not at all."""

from v3core.archive.importing import import_archive
from v3core.archive.writing import write_archive

__all__ = ["import_archive", "write_archive"]
