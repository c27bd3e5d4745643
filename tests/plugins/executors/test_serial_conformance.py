"""The executor `serial` keeps its contract."""

from segad_core.testing import ExecutorSuite
from segad_plugins.executors.serial import Serial


class TestSerial(ExecutorSuite):
    def make(self):
        return Serial()
