"""turnpike-engine over TCP with mutual TLS: the address it tells, whom it lets in, whose replica it is, cancelling."""

import http.client
import json
import socket
import ssl
import subprocess
import unittest

from engine_fixture import EngineFixture

NAME = "turnpike-engine"


def make_certificate(folder, who, *more):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", f"/CN={who}", "-keyout", folder / f"{who}.key", "-out", folder / f"{who}.crt", *more],
                   check=True, capture_output=True)


class TlsConnection(http.client.HTTPConnection):
    def __init__(self, port, context):
        super().__init__("127.0.0.1", port, timeout=60)
        self.context = context

    def connect(self):
        super().connect()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=NAME)


class EngineTlsTest(EngineFixture):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_certificate(cls.dir, "ca")
        signed = "-CA", cls.dir / "ca.crt", "-CAkey", cls.dir / "ca.key"
        make_certificate(cls.dir, "engine", *signed, "-addext", f"subjectAltName=DNS:{NAME}")
        make_certificate(cls.dir, "gateway", *signed)
        cls.context = ssl.create_default_context(cafile=cls.dir / "ca.crt")
        cls.context.load_cert_chain(cls.dir / "gateway.crt", cls.dir / "gateway.key")

    def launch(self, epoch, **more):
        self.address_file = self.run / "address"
        super().launch(epoch, **{"listen": "tls:127.0.0.1:0", "address_file": str(self.address_file), "replica": "rep-1",
                                 "tls": {"certificate": str(self.dir / "engine.crt"), "key": str(self.dir / "engine.key"),
                                         "client_ca": str(self.dir / "ca.crt")}, **more})

    def port(self):
        text = self.address_file.read_text()
        self.assertRegex(text, r"^tls:127\.0\.0\.1:[1-9][0-9]*\n$")
        return int(text.rsplit(":", 1)[1])

    def connect(self):
        return TlsConnection(self.port(), self.context)

    def test_answers_whoever_has_a_certificate_and_nobody_else(self):
        status, text = self.post(self.chat())
        self.assertEqual(status, 200, text)
        anonymous = ssl.create_default_context(cafile=self.dir / "ca.crt")
        for refused in (TlsConnection(self.port(), anonymous), http.client.HTTPConnection("127.0.0.1", self.port(), timeout=60)):
            # In TLS 1.3 the client hears of it when it reads.
            with self.assertRaises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                refused.request("GET", "/health")
                refused.getresponse()
            refused.close()
        self.assertEqual(self.get("/meter")["requests"], 1)

    def test_answers_for_its_own_replica_only(self):
        self.assertEqual(self.post(self.chat(), **{"x-turnpike-replica": "rep-1", "x-request-id": "A"})[0], 200)
        status, text = self.post(self.chat(), **{"x-turnpike-replica": "rep-2", "x-request-id": "B"})
        self.assertEqual((status, json.loads(text)["error"]["code"]), (409, "conflict"))
        self.assertIn("rep-2", text)
        for path in ("/health", "/meter", "/meter/A", "/load"):
            for replica, expected in (("rep-1", 200), ("rep-2", 409)):
                connection = self.connect()
                connection.request("GET", path, headers={"x-turnpike-replica": replica})
                self.assertEqual(connection.getresponse().status, expected, (path, replica))
                connection.close()
        self.assertEqual(self.get("/meter")["requests"], 1)
        # An engine that was given no id is whoever is asked for.
        self.restart(2, replica="")
        self.assertEqual(self.post(self.chat(), **{"x-turnpike-replica": "rep-2", "x-request-id": "C"})[0], 200)

    def test_a_half_close_cancels_and_still_gets_the_count(self):
        body = json.dumps(self.chat(stream=True, max_tokens=4000, logit_bias={"1": -100}))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nx-turnpike-meter: 1\r\nx-request-id: C1\r\ncontent-length: {len(body)}\r\n\r\n"
        connection = self.connect()
        connection.connect()
        sock = connection.sock
        sock.sendall((head + body).encode())
        seen = b""
        while seen.count(b"data:") < 3:
            seen += sock.recv(65536)
        # The method of SSLSocket would forget TLS for what is still to be read.
        socket.socket.shutdown(sock, socket.SHUT_WR)
        while piece := sock.recv(65536):
            seen += piece
        connection.close()
        self.assertTrue(seen.endswith(b"0\r\n\r\n"), seen[-80:])
        self.assertNotIn(b"[DONE]", seen)
        last = seen.decode(errors="replace").rsplit(": meter ", 1)[1].split()
        entry = self.get("/meter/C1")
        self.assertEqual((int(last[2]), True), (entry["completion_tokens"], entry["final"]))
        self.assertLess(entry["completion_tokens"], 1000)

    def test_a_restart_tells_its_own_address(self):
        self.address_file.write_text("tls:127.0.0.1:1\n")
        self.restart(2)
        self.assertNotEqual(self.port(), 1)
        self.assertEqual(self.get("/health")["epoch"], 2)

    def test_files_that_are_missing_are_named(self):
        self.engine.kill()
        self.engine.wait()
        self.launch(2, stderr=subprocess.PIPE, tls={"certificate": "absent.crt", "key": "absent.key", "client_ca": "absent"})
        _, text = self.engine.communicate(timeout=60)
        self.assertEqual(self.engine.returncode, 1)
        self.assertIn(b"absent.crt", text)
        self.assertFalse(self.address_file.exists())


if __name__ == "__main__":
    unittest.main()
