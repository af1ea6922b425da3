"""Where the files of runs are: a folder, or a bucket of an object store with a folder of this machine before it."""

from v3core.places.bucket import Bucket as Bucket
from v3core.places.chosen_place import local_file as local_file
from v3core.places.chosen_place import place_at as place_at
from v3core.places.chosen_place import place_here as place_here
from v3core.places.place import Place as Place
from v3core.places.place import PlaceError as PlaceError
from v3core.places.place import folder_bytes as folder_bytes
