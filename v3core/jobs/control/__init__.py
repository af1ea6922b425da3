"""Commands to runs.

Every function raises V3Error, and changes nothing, for a run that is unknown, or of which `COMMANDS` refuses it now.
"""

from v3core.jobs.control.asking import MOST_NOTES as MOST_NOTES
from v3core.jobs.control.asking import MOST_TAGS as MOST_TAGS
from v3core.jobs.control.asking import annotate as annotate
from v3core.jobs.control.asking import ask as ask
from v3core.jobs.control.asking import checkpoint as checkpoint
from v3core.jobs.control.asking import need_experiment as need_experiment
from v3core.jobs.control.asking import pause as pause
from v3core.jobs.control.asking import set_priority as set_priority
from v3core.jobs.control.asking import stop as stop
from v3core.jobs.control.asking import stop_experiment as stop_experiment
from v3core.jobs.control.asking import unpause as unpause
from v3core.jobs.control.asking import wait_stopped as wait_stopped
from v3core.jobs.control.deleting import delete as delete
from v3core.jobs.control.editing import current_curriculum as current_curriculum
from v3core.jobs.control.editing import extend as extend
from v3core.jobs.control.editing import request_edit as request_edit
from v3core.jobs.control.kinds import COMMANDS as COMMANDS
from v3core.jobs.control.kinds import Command as Command
from v3core.jobs.control.kinds import trained_elsewhere as trained_elsewhere
from v3core.jobs.control.kinds import trains_elsewhere as trains_elsewhere
from v3core.jobs.control.resuming import resume as resume
from v3core.jobs.control.resuming import resume_point as resume_point
