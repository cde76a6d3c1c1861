#!/usr/bin/env python3
"""The same day as in autoscale_test.py, on a real Slurm with GPUs that are none: replicas are jobs, reached over TCP
with mutual TLS. And a job that is killed is replaced by another, under a higher epoch."""
import os
import pathlib
import subprocess
import sys
import unittest

import autoscale_test
from stack import SOURCE_DIR, Stack, wait_until

sys.path.append(str(SOURCE_DIR / "tests/support"))
from slurm_cluster import SlurmCluster  # noqa: E402  (its folder is known only now)

OPENSSL = """set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=engines -keyout ca.key -out ca.crt
for name in engine client; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
    printf 'subjectAltName=DNS:turnpike-%s' $name > $name.ext
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt
done
"""


class SlurmTest(autoscale_test.AutoscaleTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = SlurmCluster()
        print(cls.cluster.run("scontrol", "ping").strip())
        cls.addClassCleanup(cls.cluster.close)
        os.environ["SLURM_CONF"] = str(cls.cluster.conf)
        cls.tls = cls.cluster.dir / "tls"
        cls.tls.mkdir()
        subprocess.run(["bash", "-c", OPENSSL], cwd=cls.tls, check=True, capture_output=True)
        super().setUpClass()

    @classmethod
    def make_stack(cls):
        ours = {"certificate": f"{cls.tls}/client.crt", "key": f"{cls.tls}/client.key", "ca": f"{cls.tls}/ca.crt"}
        engines = {"certificate": f"{cls.tls}/engine.crt", "key": f"{cls.tls}/engine.key",
                   "client_ca": f"{cls.tls}/ca.crt"}

        def on_slurm(settings):
            settings.update(driver="slurm", slurm={"tls": engines}, engine_tls=ours,
                            autoscaling=autoscale_test.WINDOWS)
            settings["hardware"][0]["slurm"] = {"gres": "gpu:h200:1", "arguments": ["--mem=10"]}

        return Stack(gateway_settings=lambda _: {"upstream_tls": ours}, controlplane_settings=on_slurm)

    def test_replicas_are_jobs_with_addresses_of_their_nodes(self):
        (pool,) = self.stack.cli_json("endpoints", "list")["data"][:1]
        (replica,) = self.stack.cli_json("endpoints", "replicas", pool["id"])["data"]
        self.assertRegex(replica["address"], r"^tls:127\.0\.0\.1:\d+$")
        (job,) = [line for line in self.cluster.run("squeue", "--noheader", "--format=%j %T").splitlines()
                  if replica["id"] in line]
        self.assertEqual(job, f"turnpike-{replica['id']} RUNNING")
        status, answer = self.stack.chat(max_tokens=4)
        self.assertEqual(status, 200, answer)
        # Its job is killed behind our back: another takes its place, under a higher epoch.
        self.cluster.run("scancel", "--full", "--signal=KILL", f"--name=turnpike-{replica['id']}")

        def is_back():
            rows = self.stack.cli_json("endpoints", "replicas", pool["id"])["data"]
            return [row for row in rows if row["state"] == "READY" and row["epoch"] > replica["epoch"]]
        (back,) = wait_until("another job serves", is_back)
        self.assertNotEqual(back["address"], replica["address"])
        self.assertEqual(wait_until("it answers", lambda: self.stack.chat(max_tokens=4)[0] == 200), True)
        log = pathlib.Path(self.stack.run_dir / "r" / replica["id"] / "engine.log").read_text()
        self.assertIn("engine_ready", log)


if __name__ == "__main__":
    unittest.main()
