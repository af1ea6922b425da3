"""What is done again and again beside a block of code, on a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(work: Callable[[], bool], seconds: float, name: str) -> Iterator[None]:
    """Call `work` every `seconds` until it returns True or the block ends. After the block the thread has ended."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            if work():
                return

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
