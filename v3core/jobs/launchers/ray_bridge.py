"""The process that talks to a Ray cluster: `python -m v3core.jobs.launchers.ray_bridge ADDRESS`.

Ray stays out of the process that asks: where a cluster's head dies, Ray ends the process that is connected to it.
Requests come as lines of JSON on standard input and are answered in lines of JSON, in any order. In between come
lines about the nodes, one a second. It ends with its standard input, after what it was asked to start is started.
"""

import importlib.util
import json
import logging
import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import ray
from ray import exceptions

from v3core.jobs.launchers.ray_addresses import no_cluster, shown
from v3core.messages import _

NAMESPACE = "v3lab"
LOOK_SECONDS = 1.0
LATER = "later: "
"""What a node says begins with it if it may pass: `v3core.jobs.on_node`, whose package is not on every node."""
BEGIN_SECONDS = 60.0
"""An actor that was asked for nothing by then ends, and frees its slot: the process that made it has died."""
ANSWER_SECONDS = 2.0
"""How long an actor may take to say whether a process lives; one of a dead node says nothing."""


class Holder:
    """Holds the worker of a run on a node, as a detached actor; it is shipped to the node by value.

    It only starts `v3core.jobs.on_node`, which starts the worker, and ends with it. It uses no name that this module
    imports from V3 Lab: a node without that could not make it then.
    """

    def __init__(self, patience: float) -> None:
        """End after this many seconds if `begin` is never called."""
        self._begun = threading.Event()

        def leave() -> None:
            if not self._begun.wait(patience):
                os._exit(0)

        threading.Thread(target=leave, daemon=True).start()

    def begin(self, order: dict[str, Any]) -> dict[str, str]:
        """Start the worker; returns once it is started, or with what is wrong, for `what_is_wrong`."""
        self._begun.set()
        context = ray.get_runtime_context()
        address = ray.util.get_node_ip_address()
        sys.path[:0] = [folder for folder in order["folders"] if folder not in sys.path]
        if importlib.util.find_spec("v3core") is None:
            return {"address": address, "without": sys.executable}
        import v3core

        if v3core.__version__ != order["version"]:
            return {"address": address, "version": v3core.__version__}
        os.environ.update(order["environment"], V3_NODE=context.get_node_id(), V3_NODE_ADDRESS=address)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(context.get_accelerator_ids().get("GPU", []))
        os.environ.pop("V3_LAUNCHER", None)
        os.environ["PYTHONPATH"] = os.pathsep.join([*order["folders"], *filter(None, [os.environ.get("PYTHONPATH")])])
        command = ["-m", "v3core.jobs.on_node", order["run"], str(order["generation"]), str(os.getppid())]
        # The pipe to it closes when this process ends, in whatever way.
        process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._process, handle = process, context.current_actor
        assert process.stdout is not None
        said = process.stdout.readline().strip()

        def end() -> None:
            process.wait()
            ray.kill(handle)
            time.sleep(5)
            os._exit(0)  # where Ray does not answer

        threading.Thread(target=end, daemon=True).start()
        return {"address": address, "said": said}

    def is_alive(self, process: dict[str, Any]) -> bool | None:
        """Whether a process of this node lives."""
        from v3core.jobs.identity import ProcessIdentity, is_alive

        if process["pid"] is None:
            return self._process.poll() is None
        return is_alive(ProcessIdentity(**process))

    def send_signal(self, process: dict[str, Any], number: int, whole_group: bool) -> bool:
        """Signal a process of this node; returns whether it was there."""
        import signal

        from v3core.jobs.identity import ProcessIdentity, send_signal

        return send_signal(ProcessIdentity(**process), signal.Signals(number), whole_group=whole_group)


def what_is_wrong(found: dict[str, str], wanted: str) -> str:
    """The sentence for what an actor has returned, empty if its worker is started; `wanted` is the version."""
    address = found["address"]
    if python := found.get("without"):
        return _(
            "V3 Lab is not installed on node {address} of the Ray cluster; install version {order} there, for "
            "the Python {executable}.",
            address=address,
            order=wanted,
            executable=python,
        )
    if version := found.get("version"):
        return _(
            "Node {address} of the Ray cluster has V3 Lab {version}, not {order}; install the same version there.",
            address=address,
            version=version,
            order=wanted,
        )
    if found["said"] == "started":
        return ""
    return found["said"] or _("Node {address} of the Ray cluster could not start the worker process.", address=address)


class Bridge:
    """Answers requests with what the cluster says."""

    def __init__(self, address: str, output: Any) -> None:
        """For a connected cluster; answers are written to `output`."""
        self._address, self._output, self._lock = address, output, threading.Lock()

    def say(self, **message: Any) -> None:
        """Write a line."""
        with self._lock:
            print(json.dumps(message), file=self._output, flush=True)

    def look(self) -> None:
        """Say what the nodes are, once a second, for ever."""
        while True:
            free = _free_slots()
            nodes = [
                {
                    "id": node["NodeID"],
                    "address": node["NodeManagerAddress"],
                    "slots": int(node["Resources"].get("CPU", 0)),
                    "free": None if free is None else int(free.get(node["NodeID"], 0)),
                    "gpus": float(node["Resources"].get("GPU", 0)),
                    "labels": {
                        key: text for key, text in node.get("Labels", {}).items() if not key.startswith("ray.io/")
                    },
                }
                for node in ray.nodes()
                if node["Alive"]
            ]
            whole = ray.available_resources().get("CPU", 0.0)
            held = sum(one["namespace"] == NAMESPACE for one in ray.util.list_named_actors(all_namespaces=True))
            self.say(nodes=nodes, busy=max(0, round(sum(node["slots"] for node in nodes) - whole - held)))
            time.sleep(LOOK_SECONDS)

    def answer(self, request: dict[str, Any]) -> None:
        """Carry out a request, and say what came of it."""
        try:
            result = getattr(self, request["do"])(**request["with"])
        except Exception as error:
            self.say(to=request["id"], problem=_first_sentence(error))
        else:
            self.say(to=request["id"], result=result)

    def start(self, order: dict[str, Any], gpus: float, label: str | None, seconds: float) -> dict[str, Any]:
        """Start the worker of a run: `wrong` says why it never can, `late` why it could not now."""
        name = order["name"]
        with suppress(ValueError):  # of a start that broke off: what is claimed and not started has no other
            ray.kill(ray.get_actor(name, namespace=NAMESPACE))
        selector = {"label_selector": dict([label.split("=", 1)])} if label else {}
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_concurrency=4)(Holder)
        holder = remote.options(
            name=name, namespace=NAMESPACE, lifetime="detached", scheduling_strategy="SPREAD", **selector
        ).remote(BEGIN_SECONDS)
        try:
            wrong = what_is_wrong(ray.get(holder.begin.remote(order), timeout=seconds), order["version"])
        except exceptions.GetTimeoutError:
            ray.kill(holder)
            return {"late": _("The Ray cluster did not start the worker within {seconds:g} seconds.", seconds=seconds)}
        except exceptions.RayActorError as error:
            ray.kill(holder)
            if error.actor_init_failed:
                return {"wrong": _cannot_start(error)}
            return {"late": _("The node of the Ray cluster died before it had started the worker.")}
        except exceptions.RayTaskError as error:
            ray.kill(holder)
            return {"late" if passes(error.cause) else "wrong": _cannot_start(error)}
        except Exception:
            ray.kill(holder)
            raise
        if wrong:
            ray.kill(holder)
        if wrong.startswith(LATER):
            return {"late": wrong.removeprefix(LATER)}
        return {"wrong": wrong or None}

    def is_alive(self, name: str, process: dict[str, Any]) -> bool | None:
        """Whether the process of a run lives, by the node that runs it; None if that does not answer."""
        try:
            holder = ray.get_actor(name, namespace=NAMESPACE)
            return bool(ray.get(holder.is_alive.remote(process), timeout=ANSWER_SECONDS))
        except (ValueError, exceptions.ActorDiedError):
            return False
        except (exceptions.GetTimeoutError, exceptions.ActorUnavailableError):
            return None

    def send_signal(self, name: str, process: dict[str, Any], number: int, whole_group: bool) -> bool:
        """Signal the process of a run; returns whether it was there."""
        try:
            holder = ray.get_actor(name, namespace=NAMESPACE)
            return bool(ray.get(holder.send_signal.remote(process, number, whole_group), timeout=ANSWER_SECONDS))
        except (ValueError, exceptions.RayActorError, exceptions.GetTimeoutError):
            return False


def _free_slots() -> dict[str, float] | None:
    """Node id to its free CPUs; None where Ray does not say, as through its client server."""
    from ray._private.state import available_resources_per_node

    try:
        return {node: free.get("CPU", 0.0) for node, free in available_resources_per_node().items()}
    except Exception:
        return None


def connect(address: str) -> str | None:
    """Connect to a cluster; returns what is wrong, in one sentence."""
    ours = _(
        "Ray {version} and Python {python_version}", version=ray.__version__, python_version=platform.python_version()
    )
    try:
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, TimeoutError):
        return no_cluster(address)
    except Exception as error:
        if "ersion" in str(error):
            return _(
                "The Ray cluster at {shown} has another version of Ray or Python than this process, which has "
                "{ours}; install the same on both.",
                shown=shown(address),
                ours=ours,
            )
        return _(
            "The Ray cluster at {shown} cannot be used: {first_sentence}",
            shown=shown(address),
            first_sentence=_first_sentence(error),
        )
    return None


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text.partition('. ')[0].rstrip('.')[:300]}."


def passes(cause: BaseException) -> bool:
    """Whether what a node raised may be gone the next time: it lacked memory, processes or open files.

    A file that is missing or may not be used, and a module that cannot be imported, stay as they are.
    """
    if isinstance(cause, FileNotFoundError | PermissionError):
        return False
    return isinstance(cause, OSError | MemoryError)


def _cannot_start(error: Exception) -> str:
    """For what was raised on the node; Ray's error ends with it."""
    last_line = str(error).strip().splitlines()[-1].strip().rstrip(".")
    return _("The Ray cluster cannot start the worker: {problem}", problem=f"{last_line[:300]}.")


def main() -> None:
    """Serve the process that started this one."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    bridge = Bridge(sys.argv[1], output)
    if problem := connect(sys.argv[1]):
        bridge.say(problem=problem)
        return
    threading.Thread(target=bridge.look, daemon=True).start()
    with ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            pool.submit(bridge.answer, json.loads(line))
    ray.shutdown()


if __name__ == "__main__":
    main()
