"""Why: one running Limpet as a test sees it: verbs to start, look into and stop it, and the checks that
every scenario ends with (no unexpected alert, no sanitizer report, no zombie, no process or descriptor
left over). A test says what it worries about; how to find that out stands here.
SPDX-License-Identifier: ISC
"""
import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import psutil

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.abspath(os.environ.get("LIMPET", os.path.join(TOP, "build", "limpet")))
NODE_DIRECTORY = os.path.join(TOP, "test", "scenario", "node")

_SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error: ")
_ALERT = re.compile(r'UTC (\[\d+\] )?ALERT |"level":"alert"')


def wait_until(condition, seconds=10, what=None):
    """Calls `condition` until it gives something true and returns that; fails after `seconds`.
    The one place of the scenario tests that sleeps."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {seconds} s: {said or condition}")
        time.sleep(0.02)


def is_sanitized(binary=BINARY):
    """A sanitized binary is several times slower and wants more memory: loads may be cut to size."""
    with open(binary, "rb") as file:
        return b"__asan_init" in file.read()


def node_program(version):
    """The path of one Node version ("16", 22, ...) that script/test installed from npm."""
    return os.path.join(NODE_DIRECTORY, "node_modules", f"node{version}", "bin", "node")


# --- ports and addresses -------------------------------------------------------------------------

# A port is ours while this process holds the abstract socket of its name: so tests of several pytest
# workers, or of several runs on one machine, never choose the same. Ephemeral ports start at 32768.
_claims = {}
_candidates = itertools.cycle(random.sample(range(10000, 32000), 22000))


def _claim(port):
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0limpet-test-port-{port}")
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
            with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True


def free_port(count=1):
    """The first of `count` neighbouring TCP ports that nobody listens on, kept for this test run."""
    while True:
        first = next(_candidates)
        claimed = []
        for port in range(first, first + count):
            if not _claim(port):
                break
            claimed.append(port)
        if len(claimed) == count:
            return first
        for port in claimed:
            _claims.pop(port).close()


def client_address(number):
    """The `number`th of 65,000 different loopback addresses, for use as a client's own."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def web_config(port, command=f"{BINARY} @demo", instances=2, limits="", listen="", more=""):
    """A configuration with one pool "web" behind one address; `limits`, `listen` and `more` are further lines
    of [limpet], [listen:web] and [pool:web]. The counters are logged often, unless `limits` says otherwise."""
    stats = "" if "stats_period" in limits else "stats_period = 100ms"
    return f"""
[limpet]
{stats}
{limits}
[listen:web]
bind = 127.0.0.1:{port}
{listen}
[pool:web]
command = {command}
instances = {instances}
{more}"""


# --- what /proc tells ----------------------------------------------------------------------------

def _environment(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = (item.partition(b"=") for item in file.read().split(b"\0") if item)
        return {name.decode(): value.decode("utf-8", "replace") for name, _, value in pairs}


def environment_of(pid):
    """The environment that the process was given by exec; empty for one that is gone or not ours."""
    try:
        return _environment(pid)
    except OSError:
        return {}


def descriptors(pid):
    """{number: what it is} of the process's open descriptors."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def cpu_seconds(pid):
    """User and system time that the process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def is_alive(pid):
    """Zombies count as dead."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- one instance --------------------------------------------------------------------------------

class Limpet:
    """One instance. Use the fixture `limpet`, which also ends and checks it."""

    def __init__(self, binary=BINARY):
        self.binary = binary
        self.directory = tempfile.mkdtemp(prefix="limpet-")     # short: unix paths end at 107 bytes
        os.chmod(self.directory, 0o755)
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        self.exit_code = None
        self.patience = 5                                       # seconds that things get to settle at the end
        self._allowed = []
        self._seen = {}
        self._watched = None
        self._mark = f"LIMPET_TEST_INSTANCE={uuid.uuid4().hex}"
        self._sanitizer = os.path.join(self.directory, "sanitizer")
        os.mkdir(self._sanitizer)
        os.chmod(self._sanitizer, 0o1777)                       # an acceptor may run as nobody

    # -- start and stop

    def environment(self, extra=None):
        """The environment of the instance: the caller's, without what belongs to an outer Limpet."""
        result = {name: value for name, value in os.environ.items()
                  if not name.startswith(("LIMPET", "NODE_", "NOTIFY_", "LISTEN_", "WATCHDOG_"))}
        name, _, value = self._mark.partition("=")
        result[name] = value
        result["STATE_DIRECTORY"] = self.path("state")
        result["RUNTIME_DIRECTORY"] = self.path("run")
        options = f"log_path={self._sanitizer}/report:exitcode=99"
        result["ASAN_OPTIONS"] = options + ":detect_leaks=1"
        result["UBSAN_OPTIONS"] = options + ":print_stacktrace=1"
        result.update(extra or {})
        return result

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        """A file in the instance's own directory; returns its path."""
        with open(self.path(name), "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return self.path(name)

    def write_config(self, text):
        """Writes the configuration; without a [limpet] section it gets one that logs the counters."""
        if not re.search(r"^\[limpet\]", text, re.M):
            text += "\n[limpet]\nstats_period = 100ms\n"
        return self.write("limpet.ini", text)

    def start(self, what, env=None, ready=True, **popen):
        """`what` is the text of a configuration, or the list of arguments. Waits until all is up
        unless `ready` is False. `popen`: further arguments of subprocess.Popen."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        for name in ("state", "run"):
            os.makedirs(self.path(name), mode=0o755, exist_ok=True)
        arguments = ["-c", self.write_config(what)] if isinstance(what, str) else list(what)
        start_of_log = self.log_position()
        self.exit_code = None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(env), cwd=popen.pop("cwd", self.directory), **popen)
        if ready:
            self.wait_ready(after=start_of_log)
        return self

    def run(self, *arguments, env=None, seconds=30, **run):
        """Runs the binary to its end (-t, -T, --help, ...); returns subprocess.CompletedProcess."""
        return subprocess.run([self.binary, *arguments], stdin=subprocess.DEVNULL, timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              env=self.environment(env), cwd=run.pop("cwd", self.directory), **run)

    def wait_ready(self, seconds=30, after=0):
        return self.wait_log(r"\bready: ", seconds, after)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Sends the signal, waits for the end and returns the exit code (negative: a signal)."""
        self.remember_processes()
        if self.is_running():
            self.process.send_signal(number)
        return self.wait_exit(seconds)

    def wait_exit(self, seconds=30):
        try:
            self.exit_code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the supervisor did not end within {seconds} s") from None
        return self.exit_code

    # -- its processes

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        """psutil.Process of each direct child of the supervisor, zombies included."""
        try:
            return psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []

    def role_pid(self, role):
        """The process that runs as "@acceptor", "@warden", ...; None while there is none."""
        for child in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE and role in child.cmdline()[1:2]:
                    return child.pid
        return None

    def acceptor_pid(self):
        return self.role_pid("@acceptor")

    def warden_pid(self):
        return self.role_pid("@warden")

    def relay_pids(self):
        """The processes that run as "@relay", in no order."""
        found = []
        for child in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE and "@relay" in child.cmdline()[1:2]:
                    found.append(child.pid)
        return found

    def workers(self, pool=None):
        """{slot: pid} of the live workers; `pool` is needed when there are several pools."""
        found = {}
        for child in self.children():
            if not is_alive(child.pid):
                continue
            env = environment_of(child.pid)
            if "LIMPET_SLOT" not in env or pool not in (None, env.get("LIMPET_POOL")):
                continue
            slot = int(env["LIMPET_SLOT"])
            assert slot not in found, f"slot {slot} has two workers: {found[slot]} and {child.pid}"
            found[slot] = child.pid
        return found

    def generations(self, pool=None):
        """{slot: generation} of the live workers."""
        return {slot: int(environment_of(pid).get("LIMPET_GENERATION", -1))
                for slot, pid in self.workers(pool).items()}

    def kill_worker(self, slot, number=signal.SIGKILL, pool=None):
        """Signals the slot's present worker and returns its pid."""
        pid = self.workers(pool)[slot]
        os.kill(pid, number)
        return pid

    def kill_worker_dead(self, slot, pool="web"):
        """Kills the slot's worker and waits until the supervisor has seen it; returns its pid. What a dying
        process has in its backlog dies with it: a test that asks for more waits first."""
        position = self.log_position()
        pid = self.kill_worker(slot, pool=pool)
        self.wait_log(rf"{pool}/{slot}: killed by SIGKILL", 20, position)
        return pid

    def wait_worker(self, slot, other_than=None, seconds=30, pool=None):
        """Waits until the slot has a worker, another one than `other_than`; returns its pid."""
        def replaced():
            pid = self.workers(pool).get(slot)
            return pid if pid != other_than else None
        return wait_until(replaced, seconds, f"a new worker in slot {slot}")

    def remember_processes(self):
        """Notes every present descendant, so that the end of the test can ask for each."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.pid)
            for child in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._seen[child.pid] = child.create_time()

    def processes(self):
        """The pids of all live processes of this instance, also of those whose parent is gone. They are
        known by a mark in the environment, or because they were seen as descendants before."""
        found = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                ours = self._seen.get(process.pid) == process.create_time()
                if not ours:
                    env = environment_of(process.pid)
                    ours = f"LIMPET_TEST_INSTANCE={env.get('LIMPET_TEST_INSTANCE')}" == self._mark
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
        return found

    def zombies(self):
        found = []
        for child in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() == psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
        return found

    # -- its log

    def log_position(self):
        """Where the log ends now: give it as `after` to look only at what comes later."""
        try:
            return os.path.getsize(self.log_path)
        except FileNotFoundError:
            return 0

    def log(self, after=0):
        """The text of the log, its own lines and its workers'."""
        try:
            with open(self.log_path, "rb") as file:
                file.seek(after)
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log_lines(self, pattern="", after=0):
        return [line for line in self.log(after).splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, seconds=10, after=0):
        """Waits for a line that matches and returns the match."""
        expression = re.compile(pattern, re.M)

        def found():
            text = self.log(after)
            match = expression.search(text)
            if match is None and self.process is not None and self.process.poll() is not None:
                match = expression.search(self.log(after))
                assert match, (f"Limpet ended with {self.process.returncode} before it logged "
                               f"/{pattern}/:\n{self.tail()}")
            return match
        return wait_until(found, seconds, lambda: f"/{pattern}/ in the log:\n{self.tail()}")

    def tail(self, lines=60):
        return "\n".join(self.log().splitlines()[-lines:])

    def counters(self):
        """The last logged line of counters as {name: number}."""
        lines = self.log_lines(r"\bstats: ")
        assert lines, "no counters in the log: set stats_period in [limpet]"
        pairs = re.findall(r"([\w.]+)=(-?\d+)", lines[-1].partition("stats: ")[2])
        return {name: int(value) for name, value in pairs}

    def wait_counters(self, condition, seconds=10):
        """Waits until a line of counters that is logged from now on satisfies `condition(counters)`."""
        begin = self.log_position()

        def fresh():
            if not self.log_lines(r"\bstats: ", begin):
                return None
            counters = self.counters()
            return counters if condition(counters) else None
        return wait_until(fresh, seconds, lambda: f"counters are {self.log_lines('stats: ')[-1:]}")

    # -- what is checked at the end

    def allow_alert(self, pattern):
        """An ALERT line that matches is part of this test's story."""
        self._allowed.append(re.compile(pattern))

    def watch_descriptors(self):
        """From here to the end of the test, supervisor and acceptor may not gain descriptors."""
        self._watched = {"supervisor": descriptors(self.pid), "acceptor": descriptors(self.acceptor_pid())}

    def _descriptor_drift(self):
        pids = {"supervisor": self.pid, "acceptor": self.acceptor_pid()}
        drift = {}
        for role, before in self._watched.items():
            if pids[role] is None:
                drift[role] = "is not running"
                continue
            now = descriptors(pids[role])
            if len(now) > len(before):
                drift[role] = {n: what for n, what in now.items() if what not in before.values()} or now
        return drift

    def _alerts(self):
        return [line for line in self.log().splitlines()
                if _ALERT.search(line) and not any(p.search(line) for p in self._allowed)]

    def sanitizer_reports(self):
        reports = []
        for name in sorted(os.listdir(self._sanitizer)):
            with open(os.path.join(self._sanitizer, name), encoding="utf-8", errors="replace") as file:
                reports.append(file.read())
        reports += [line for line in self.log().splitlines() if _SANITIZER.search(line)]
        return reports

    def _check_while_running(self):
        wait_until(lambda: not self.zombies(), self.patience,
                   lambda: f"zombies {self.zombies()} of the supervisor")
        if self._watched:
            wait_until(lambda: not self._descriptor_drift(), self.patience,
                       lambda: f"descriptors were gained: {self._descriptor_drift()}")

    def _end(self):
        """A graceful stop; clients that the test left open are not waited for."""
        self.remember_processes()
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(3)
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit()
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.tail()}"

    def check_end(self):
        """What every scenario asserts when its own story has been told."""
        if self.is_running():
            self._check_while_running()
            self._end()
        wait_until(lambda: not self.processes(), self.patience, lambda: "left over: " + ", ".join(
            f"{pid} {open(f'/proc/{pid}/cmdline').read()!r}" for pid in self.processes()))
        reports = self.sanitizer_reports()
        assert not reports, "sanitizer reports:\n" + "\n".join(reports)
        alerts = self._alerts()
        assert not alerts, "unexpected alerts:\n" + "\n".join(alerts)

    def destroy(self):
        """Ends whatever is still there, checks nothing."""
        if self.process is not None:
            self.remember_processes()
        for pid in self.processes():    # without a process of ours too: -d leaves one behind
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)
