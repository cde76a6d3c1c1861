"""The published models' whole checkpoints, laid out sparsely: synth, check and plan are quick and lean.

Every tensor of the 671B and the 8B with its real name, type and shape, and no data: 641 GiB that take
no space on a file system with sparse files. A tensor that is deleted, renamed or retyped is named.
"""

import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
ENGINE = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike-engine"
MODELS = SOURCE / "config/files/models"

MAX_RESIDENT_BYTES = 1 << 30
# Seconds are what it takes on an idle machine; this is a bound for a loaded one.
MAX_SECONDS = 60


class Outcome:
    """What a run of the engine printed and cost."""

    def __init__(self, *arguments):
        started = time.monotonic()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen([ENGINE, *map(str, arguments)], stdout=out, stderr=err)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.code = process.returncode
            self.seconds = time.monotonic() - started
            self.resident_bytes = usage.ru_maxrss * 1024
            self.text, self.error = (self.read(stream) for stream in (out, err))
        verb = arguments[0]
        print(f"{verb}: {self.seconds:.1f} s, {self.resident_bytes / 2**20:.0f} MiB", flush=True)

    @staticmethod
    def read(stream):
        stream.seek(0)
        return stream.read().decode()


class SparseCheckpointTest:
    """For a class that says name, num_tensors, num_bytes and num_shards."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tp-sparse-")
        cls.model = pathlib.Path(cls.folder.name) / "model"
        config = MODELS / cls.name / "config.json"
        cls.made = Outcome("synth", "--config", config, "--sparse", "--shards", cls.num_shards, "--out", cls.model)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def assert_light(self, outcome, expected_code=0):
        self.assertEqual(outcome.code, expected_code, outcome.error)
        self.assertLess(outcome.resident_bytes, MAX_RESIDENT_BYTES)
        self.assertLess(outcome.seconds, MAX_SECONDS)

    def headers(self):
        """Per shard the header of its safetensors file, read without a library."""
        for path in sorted(self.model.glob("*.safetensors")):
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(length))
            header.pop("__metadata__")
            yield path, 8 + length, header

    def change_header(self, name, old, new):
        """Replaces one text in the header that holds the tensor; returns what puts it back."""
        path, end, _ = next(item for item in self.headers() if name in item[2])
        with path.open("r+b") as file:
            before = file.read(end)
            self.assertEqual((before.count(old), len(old)), (1, len(new)))
            file.seek(0)
            file.write(before.replace(old, new))

        def restore():
            with path.open("r+b") as again:
                again.write(before)

        return path, restore

    def index(self):
        return json.loads((self.model / "model.safetensors.index.json").read_text())

    def write_index(self, index):
        (self.model / "model.safetensors.index.json").write_text(json.dumps(index))

    def test_every_tensor_is_there_and_takes_no_space(self):
        self.assert_light(self.made)
        tensors, num_bytes, on_disk = {}, 0, 0
        for path, data_begin, header in self.headers():
            tensors |= header
            end = max(entry["data_offsets"][1] for entry in header.values())
            self.assertEqual(path.stat().st_size, data_begin + end)
            num_bytes += sum(b - a for a, b in (entry["data_offsets"] for entry in header.values()))
            on_disk += path.stat().st_blocks * 512
        self.assertEqual(len(tensors), self.num_tensors)
        self.assertEqual(num_bytes, self.num_bytes)
        self.assertLess(on_disk, 64 << 20)
        index = self.index()
        self.assertEqual(index["weight_map"].keys(), tensors.keys())
        self.assertEqual(index["metadata"]["total_size"], self.num_bytes)
        self.assertEqual(len(set(index["weight_map"].values())), self.num_shards)

    def test_check_and_plan_are_quick_and_lean(self):
        checked = Outcome("check", "--model", self.model)
        self.assert_light(checked)
        self.assertIn("every tensor and the tokenizer are as the config says", checked.text)
        planned = Outcome("plan", "--model", self.model, "--gpus", 8, "--gpu-memory", 139)
        self.assert_light(planned)
        self.assertIn(f" {self.num_tensors} tensors, {self.num_bytes / 2**30:.2f} GiB", planned.text)
        self.assertEqual(planned.text.splitlines()[-1], "yes")

    def test_a_deleted_tensor_is_named(self):
        before = self.index()
        index = json.loads(json.dumps(before))
        del index["weight_map"][self.victim]
        self.write_index(index)
        self.addCleanup(self.write_index, before)
        outcome = Outcome("check", "--model", self.model)
        self.assert_light(outcome, 1)
        self.assertIn(f"tensor {self.victim}: expected {self.victim_text}, found nothing", outcome.error)

    def test_a_renamed_tensor_is_named(self):
        other = self.victim[:-1] + "_"
        path, restore = self.change_header(self.victim, f'"{self.victim}"'.encode(), f'"{other}"'.encode())
        self.addCleanup(restore)
        outcome = Outcome("check", "--model", self.model)
        self.assert_light(outcome, 1)
        self.assertIn(f"{path}: tensor {self.victim}: the index places it here", outcome.error)
        before = self.index()
        index = json.loads(json.dumps(before))
        index["weight_map"][other] = index["weight_map"].pop(self.victim)
        self.write_index(index)
        self.addCleanup(self.write_index, before)
        outcome = Outcome("check", "--model", self.model)
        self.assert_light(outcome, 1)
        self.assertIn(f"tensor {self.victim}: expected {self.victim_text}, found nothing", outcome.error)

    def test_a_retyped_tensor_is_named(self):
        found = {"F8_E4M3": "I8", "BF16": "I16"}[self.victim_text.split(",")[0].split(" ")[0]]
        kept = self.victim_text.split(",")[0].split(" ")[0]
        spaces = " " * (len(kept) - len(found))
        path, restore = self.change_header(
            self.victim, f'"{self.victim}":{{"dtype":"{kept}"'.encode(),
            f'"{self.victim}":{{"dtype":"{found}"{spaces}'.encode())
        self.addCleanup(restore)
        outcome = Outcome("check", "--model", self.model)
        self.assert_light(outcome, 1)
        self.assertIn(f"{path}: tensor {self.victim}: expected {self.victim_text}, found {found} ", outcome.error)

    def test_a_reshaped_tensor_is_named(self):
        _, _, header = next(item for item in self.headers() if self.victim in item[2])
        rows, cols = header[self.victim]["shape"]
        shape, other = f"[{rows},{cols}]", f"[{cols},{rows}]"
        entry = re.escape(f'"{self.victim}":{{"dtype":"') + r'\w+' + re.escape(f'","shape":{shape}')
        raw = json.dumps({self.victim: header[self.victim]}, separators=(",", ":"))
        old = re.search(entry, raw).group(0)
        path, restore = self.change_header(self.victim, old.encode(), old.replace(shape, other).encode())
        self.addCleanup(restore)
        outcome = Outcome("check", "--model", self.model)
        self.assert_light(outcome, 1)
        self.assertIn(f"{path}: tensor {self.victim}: expected {self.victim_text}, found", outcome.error)
        self.assertIn(f"[{cols}, {rows}]", outcome.error)


class DeepseekTest(SparseCheckpointTest, unittest.TestCase):
    name = "deepseek-r1-0528"
    num_tensors = 91_991
    num_bytes = 688_574_839_360
    num_shards = 163
    victim = "model.layers.37.mlp.experts.200.up_proj.weight"
    victim_text = "F8_E4M3 [2048, 7168]"


class Qwen3Test(SparseCheckpointTest, unittest.TestCase):
    name = "deepseek-r1-0528-qwen3-8b"
    num_tensors = 399
    num_bytes = 2 * 8_190_735_360
    num_shards = 2
    victim = "model.layers.17.self_attn.k_proj.weight"
    victim_text = "BF16, F16 or F32 [1024, 4096]"


if __name__ == "__main__":
    unittest.main()
