"""Groups of runs compared: on one grid, by their final values, in words."""

from v3core.comparison.comparing import compare as compare
from v3core.comparison.curves import band as band
from v3core.comparison.curves import on_grid as on_grid
from v3core.comparison.groups import Group as Group
from v3core.comparison.groups import Setting as Setting
from v3core.comparison.groups import grouped as grouped
from v3core.comparison.groups import settings_that_differ as settings_that_differ
from v3core.comparison.standings import standings_of as standings_of
