"""What the tests of this folder share: a running engine, its socket, and figures."""
import json
import os
import signal
import socket
import subprocess
import sys
import time


class Fail(Exception):
    pass


class Engine:
    def __init__(self, rkpipe, file, *more):
        self.rkpipe = rkpipe
        self.err = open("run.err", "wb+")
        self.p = subprocess.Popen([rkpipe, "run", file, *more], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=self.err)
        self.sock = ".rkpipe/live/admin.sock"
        self.until("the engine runs", lambda: os.path.exists(self.sock) and self.ask("GET", "/ready")[0] == 200)

    def alive(self):
        if self.p.poll() is not None:
            raise Fail(f"the engine has ended with {self.p.returncode}:\n{self.said()[-2000:]}")

    def last_words(self):
        """What it says when it ends by itself, for which it gets a moment."""
        try:
            self.p.wait(2)
        except subprocess.TimeoutExpired:
            pass
        return self.said()[-3000:]

    def said(self):
        with open("run.err", encoding="utf-8", errors="replace") as f:
            return f.read()

    def until(self, what, true, seconds=60):
        end = time.monotonic() + seconds
        while not true():
            self.alive()
            if time.monotonic() > end:
                raise Fail(f"never: {what}\n{self.said()[-2000:]}")
            time.sleep(0.01)

    def ask(self, method, target, timeout=120):
        """One request on a connection of its own: status, and the bytes of the body.  Anything but one answer fails."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            try:
                s.connect(self.sock)
            except (FileNotFoundError, ConnectionRefusedError):
                return 0, b""
            s.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            got = b""
            while chunk := s.recv(65536):
                got += chunk
        head, sep, body = got.partition(b"\r\n\r\n")
        if not sep or not head.startswith(b"HTTP/1.1 "):
            raise Fail(f"{method} {target}: no answer, but {got[:200]!r}")
        fields = dict(x.lower().split(b": ", 1) for x in head.split(b"\r\n")[1:])
        if b"content-length" in fields and int(fields[b"content-length"]) != len(body):
            raise Fail(f"{method} {target}: more or less than one answer: {got[:200]!r}")
        return int(head.split()[1]), body

    def status(self):
        return json.loads(self.ask("GET", "/v1/status")[1])

    def kernel(self, name):
        return next(k for k in self.status()["kernels"] if k["kernel"] == name)

    def hangup(self):
        self.p.send_signal(signal.SIGHUP)

    def drain(self):
        self.ask("POST", "/v1/shutdown")
        try:
            code = self.p.wait(120)
        except subprocess.TimeoutExpired:
            raise Fail(f"the engine does not end:\n{self.said()[-2000:]}") from None
        if code:
            raise Fail(f"the engine ended with {code}:\n{self.said()[-2000:]}")

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def put(path, text):
    """As an editor does it: whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


def quantiles(ms):
    ms = sorted(ms)
    if not ms:
        return "none"
    return f"p50 {ms[len(ms) // 2]:.1f} ms, p99 {ms[len(ms) * 99 // 100]:.1f} ms, most {ms[-1]:.1f} ms"


def main(test):
    """Runs test(rkpipe, n) in a folder of its own; 0 or 1."""
    import shutil
    import tempfile
    rkpipe, n = os.path.realpath(sys.argv[1]), int(sys.argv[2])
    work = tempfile.mkdtemp(prefix="rkpipe-reload-")
    here = os.getcwd()
    os.chdir(work)
    try:
        test(rkpipe, n)
        code = 0
    except (Fail, OSError) as e:
        print("FAIL", e)
        code = 1
    finally:
        os.chdir(here)
        if not os.environ.get("RKP_KEEP"):
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(code)
