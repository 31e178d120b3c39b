"""What the scripts that start real programs have in common: free ports, waiting for conditions, servers in a folder.

Each ends the program with the reason at the first thing that is not as it should be.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = pathlib.Path(sys.argv[0]).name
# Long enough for a busy machine; nothing waits that long when all is well.
PATIENCE = 60


def fail(reason):
    sys.exit(f"{NAME}: {reason}")


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, patience=PATIENCE, not_yet=()):
    """Waits until a condition holds and gives what it gave; `not_yet` are the exceptions that say that it doesn't hold yet."""
    until, last = time.monotonic() + patience, None
    while time.monotonic() < until:
        try:
            if found := condition():
                print(f"  ok: {what}", flush=True)
                return found
        except not_yet as error:
            last = error
        time.sleep(0.1)
    fail(f"waited {patience} s in vain: {what}" + (f": {last}" if last else ""))


def run(command, **environment):
    print(f"$ {command}", flush=True)
    done = subprocess.run(command, shell=True, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"exit code {done.returncode}: {command}\n{done.stdout}")
    return done.stdout


class Running:
    """A command that runs until it is stopped, and must then end well; one that is not stopped is killed with the stage."""

    all = []

    def __init__(self, command, **environment):
        print(f"$ {command} &", flush=True)
        self.command = command
        self.process = subprocess.Popen(f"exec {command}", shell=True, env={**os.environ, **environment},
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.all.append(self)

    def stop(self, code=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        ended = self.process.wait(PATIENCE)
        if ended != code:
            fail(f"exit code {ended}: {self.command}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)


@contextlib.contextmanager
def folder_of_this_run():
    """A folder that goes when what runs in it has ended."""
    with tempfile.TemporaryDirectory() as folder:
        # No publisher finds what another run left.
        os.environ["LASTBEAT_SPOOL"] = f"{folder}/spool"
        try:
            yield pathlib.Path(folder)
        finally:
            for program in Running.all:
                program.kill()


def mosquitto(folder):
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
    return Running(f"/usr/sbin/mosquitto -c {folder}/mosquitto.conf"), port


def influxd(folder, with_users=False, more=""):
    """An InfluxDB 1.x that keeps all it has in the folder; `more` is added to its configuration."""
    port = free_port()
    (folder / "influxd.conf").write_text(
        f'bind-address = "127.0.0.1:{free_port()}"\nreporting-enabled = false\n'
        f'[meta]\ndir = "{folder}/influx/meta"\n[data]\ndir = "{folder}/influx/data"\nwal-dir = "{folder}/influx/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nauth-enabled = {str(with_users).lower()}\n{more}')
    return Running(f"influxd -config {folder}/influxd.conf"), port
