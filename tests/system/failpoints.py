"""Failpoints of running processes: how often each was passed, and which of them kills next."""
import mmap
import struct

from stack import wait_until


class Failpoints:
    """The file that all processes count in, those that are meant: see config/base/failpoint.h."""
    RECORD = struct.Struct("<40sQQq")

    def __init__(self, path, is_meant=lambda name: True):
        wait_until("the failpoints' file is whole", lambda: path.exists() and path.stat().st_size >= 64)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        offsets = {self.RECORD.unpack_from(self.map, at)[0].rstrip(b"\0").decode(): at
                   for at in range(0, len(self.map), self.RECORD.size)}
        self.offsets = {name: at for name, at in offsets.items() if is_meant(name)}

    def counts(self, name):
        """(passes, kills) so far."""
        return self.RECORD.unpack_from(self.map, self.offsets[name])[1:3]

    def least_passes(self):
        return min(self.counts(name)[0] for name in self.offsets)

    def is_armed(self, name):
        return self.RECORD.unpack_from(self.map, self.offsets[name])[3] > 0

    def arm(self, name, number):
        struct.pack_into("<q", self.map, self.offsets[name] + 56, number)

    def disarm_all(self):
        for name in self.offsets:
            self.arm(name, 0)
