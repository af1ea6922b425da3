"""Alarms: rules over recorded episodes that say when routing or training goes wrong. Pure: no store, no clock."""

from v3core.insight.alarms.plan import Plan as Plan
from v3core.insight.alarms.rules import RULES as RULES
from v3core.insight.alarms.rules import Rule as Rule
from v3core.insight.alarms.watch import Alarm as Alarm
from v3core.insight.alarms.watch import Began as Began
from v3core.insight.alarms.watch import Edited as Edited
from v3core.insight.alarms.watch import Evaluated as Evaluated
from v3core.insight.alarms.watch import Watch as Watch
from v3core.insight.alarms.window import NEEDED as NEEDED
from v3core.insight.alarms.window import Episodes as Episodes
