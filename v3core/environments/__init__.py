"""Environments: which are supported, how they are created, and the state graph of their observations. No torch."""

from v3core.environments.batch import EnvironmentBatch as EnvironmentBatch
from v3core.environments.batch import EnvironmentFailureError as EnvironmentFailureError
from v3core.environments.batch import ReplayError as ReplayError
from v3core.environments.graph_spec import register_graph as register_graph
from v3core.environments.graph_spec import state_graph as state_graph
from v3core.environments.make import make_environment as make_environment
from v3core.environments.registry import check_environment as check_environment
from v3core.environments.registry import known_environments as known_environments
from v3core.environments.registry import matching_environments as matching_environments
from v3core.environments.situations import Risen as Risen
from v3core.environments.situations import register_situations as register_situations
from v3core.environments.types import ActionSpec as ActionSpec
from v3core.environments.types import EnvironmentSpec as EnvironmentSpec
from v3core.environments.types import NodePart as NodePart
from v3core.environments.types import StateGraphSpec as StateGraphSpec
from v3core.environments.unfinished import UnfinishedEpisode as UnfinishedEpisode
