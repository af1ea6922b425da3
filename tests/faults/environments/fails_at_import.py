"""An environment whose module cannot be imported."""

raise RuntimeError("the simulator has no licence")
