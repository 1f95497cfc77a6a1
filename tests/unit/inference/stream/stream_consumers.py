"""The stream consumer as a process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import orjson

_SCRIPT = "import sys; from mooring_inference.stream.command import main; sys.exit(main(sys.argv[1:]))"


class Consumer:
    def __init__(self, log, urls, model, *flags, sink=None, script=_SCRIPT):
        command = [sys.executable, "-c", script, f"--source={urls['in']}", f"--sink={sink or urls['out']}"]
        command += [f"--dead_letters={urls['dead']}", "--group=g", f"--model_dir={model}", "--threads=1"]
        command += ["--take_over_seconds=1", "--host=127.0.0.1", "--metrics_port=0", *flags]
        self.log = log
        self.process = subprocess.Popen(command, stdout=self.log)

    def lines(self):
        with open(self.log.name) as lines:
            return [orjson.loads(line) for line in lines if line.endswith("\n")]

    async def port(self):
        """Of the metrics."""

        async def listening():
            assert self.process.poll() is None, "it ended"
            return [line["port"] for line in self.lines() if line["message"] == "listening"]

        return (await until(listening))[0]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextmanager
def consuming(urls, model, *flags, **options):
    # A pipe that nobody reads would stop it.
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        consumer = Consumer(log, urls, model, *flags, **options)
        try:
            yield consumer
        finally:
            consumer.kill()


async def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)
    return found


def rows(count, start=0):
    return [
        orjson.dumps({"id": f"m{index}", "features": [index, 1]}) for index in range(start, start + count)
    ]
