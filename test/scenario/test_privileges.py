"""Worry: a process has more power, or a descriptor more, than it needs: then a fault in the code that strangers' bytes
reach is a fault of the whole machine.

What /proc says is compared with what was asked for: the acceptor is nobody and cannot become anybody, cannot be traced, cannot
dump core; a worker is whom the configuration names, with the limits and the environment that it names, and inherits neither
signals nor descriptors of ours; and after many deaths everybody still holds exactly what he held at the start. Started as an
ordinary user, everything works that can. SPDX-License-Identifier: ISC
"""
import collections
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess

import psutil
import pytest

from client import HttpClient, http_get
from limpet import (BINARY, client_address, descriptors, environment_of, free_port, is_sanitized, status_of, wait_until,
                    web_config)
from odd_worker import COMMAND

ODD = " ".join(COMMAND)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

NOBODY = pwd.getpwnam("nobody")


def config(port, limits="", more="", command=f"{BINARY} @demo", instances=2):
    return web_config(port, command, instances, limits, more=more)


def ids(user, group):
    """What Uid and Gid of /proc/PID/status must be: real, effective, saved and file system."""
    return "\t".join([str(user)] * 4), "\t".join([str(group)] * 4)


def is_whom(pid, user, group, groups):
    status = status_of(pid)
    assert (status["Uid"], status["Gid"]) == ids(user, group)
    assert {int(number) for number in status["Groups"].split()} == set(groups)
    return status


def limit_of(pid, name):
    """[soft, hard] of /proc/PID/limits; prlimit(2) would need to be allowed to look."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        return next(line for line in file if line.startswith(name))[len(name):].split()[:2]


@pytest.mark.parametrize("user, group", [("", ""), ("daemon", ""), ("daemon", "games")])
def test_the_acceptor_has_no_power(limpet, user, group):
    """By default nobody (a user limpet, where the machine has one)."""
    limits = (f"user = {user}\n" if user else "") + (f"group = {group}\n" if group else "")
    limpet.start(config(free_port(), limits))
    default = "limpet" if "limpet" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
    entry = pwd.getpwnam(user or default)
    gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    status = is_whom(limpet.acceptor_pid(), entry.pw_uid, gid, os.getgrouplist(entry.pw_name, gid))
    assert status["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name


def test_roles_are_sealed(limpet):
    """No core dump, and no look into the memory: not even for another process of the same user."""
    limpet.start(config(free_port()))
    for pid in (limpet.acceptor_pid(), limpet.warden_pid()):
        assert status_of(pid)["NoNewPrivs"] == "1"
        assert limit_of(pid, "Max core file size") == ["0", "0"]
    if is_sanitized():
        return      # the leak checker traces its own process, so it stays dumpable
    pid = limpet.acceptor_pid()
    assert os.stat(f"/proc/{pid}/fd").st_uid == 0
    spy = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups", "--inh-caps=-all"]
    for attempt in (["ls", f"/proc/{pid}/fd"], ["cat", f"/proc/{pid}/environ"], ["readlink", f"/proc/{pid}/exe"]):
        done = subprocess.run(spy + attempt, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode != 0 and "Permission denied" in done.stderr or not done.stdout, done


def test_the_warden_can_only_kill(limpet):
    """It stays root, for it must be able to end workers of any user when the supervisor is dead. And it is."""
    limpet.start(config(free_port(), "drain_timeout = 500ms", "user = daemon\nstop_timeout = 200ms",
                        f"{ODD} ignore-term grandchild"))
    assert int(status_of(limpet.warden_pid())["CapEff"], 16) == 1 << 5     # CAP_KILL
    limpet.remember_processes()
    os.kill(limpet.pid, signal.SIGKILL)
    limpet.wait_exit()
    wait_until(lambda: not limpet.processes(), 20, lambda: f"left over: {limpet.processes()}")
    assert limpet.log_lines("did not end in time: killed")


def kinds(pid):
    """{what: how many} of a process's descriptors, without the numbers of inodes."""
    return collections.Counter(re.sub(r"\d+", "N", what) for what in descriptors(pid).values())


def everybody(limpet):
    found = {"supervisor": kinds(limpet.pid), "acceptor": kinds(limpet.acceptor_pid()),
             "warden": kinds(limpet.warden_pid())}
    found.update({f"worker {slot}": kinds(pid) for slot, pid in limpet.workers().items()})
    return found


def test_descriptors_are_the_same_after_many_deaths(limpet):
    """Twenty deaths of the acceptor and twenty of a worker, with clients in between."""
    port = free_port()
    limpet.start(config(port, more="min_uptime = 1ms\nrestart_delay = 1ms\nrestart_delay_max = 1ms"))
    http_get(port)
    wait_until(lambda: all(kinds(pid)["anon_inode:[eventpoll]"] for pid in limpet.workers().values()))
    before = everybody(limpet)
    assert before["worker 0"] == before["worker 1"]
    for number in range(20):
        acceptor, worker = limpet.acceptor_pid(), limpet.workers()[0]
        mark = limpet.log_position()
        os.kill(acceptor, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        limpet.wait_log(r"acceptor: ready after", 20, mark)
        limpet.wait_worker(0, other_than=worker)
        assert "slot" in http_get(port, source=client_address(number), seconds=30)
    wait_until(lambda: everybody(limpet) == before, 10, lambda: f"{everybody(limpet)}\nwere\n{before}")


def test_a_worker_gets_nothing_but_its_link(limpet):
    """Also where whoever starts Limpet leaves descriptors open and signals blocked or ignored."""
    leaked = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(leaked, True)

    def be_careless():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR2})
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    limpet.start(config(free_port(), "drain_timeout = 100ms", "ready = started", "sleep 1000"), pass_fds=[leaked],
                 preexec_fn=be_careless)
    os.close(leaked)
    for pid in limpet.workers().values():
        what = descriptors(pid)
        assert sorted(what) == [0, 1, 2, 3]
        assert what[0] == "/dev/null" and what[3].startswith("socket:")
        assert what[1].startswith("pipe:") and what[2].startswith("pipe:") and what[1] != what[2]
        status = status_of(pid)
        assert [int(status[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]
    for pid in (limpet.acceptor_pid(), limpet.warden_pid()):
        assert "/etc/hostname" not in descriptors(pid).values()
    assert limpet.stop() == 0      # a blocked SIGTERM would have been a supervisor that cannot be stopped


def test_a_worker_is_who_the_configuration_says(limpet):
    for slot in range(2):
        os.mkdir(limpet.path(f"home-{slot}"))
    limpet.start(config(free_port(), limits="drain_timeout = 100ms", command="sleep 1000", more=f"""
ready = started
user = daemon
group = games
umask = 027
nice = 5
rlimit_nofile = 321
rlimit_core = 0
directory = {limpet.directory}/home-%i
clear_environment = on
environment = TEXT=slot %i of %n, 100%%
environment = EMPTY=
"""), env={"SECRET_OF_THE_CALLER": "yes"})
    daemon, games = pwd.getpwnam("daemon"), grp.getgrnam("games")
    for slot, pid in limpet.workers().items():
        status = is_whom(pid, daemon.pw_uid, games.gr_gid, os.getgrouplist("daemon", games.gr_gid))
        assert status["Umask"] == "0027"
        assert int(status["CapEff"], 16) == 0
        process = psutil.Process(pid)
        assert process.nice() == 5
        assert limit_of(pid, "Max open files") == ["321", "321"]
        assert limit_of(pid, "Max core file size") == ["0", "0"]
        assert process.cwd() == limpet.path(f"home-{slot}")
        found = environment_of(pid)
        expected = {"TEXT": f"slot {slot} of web, 100%", "EMPTY": "", "USER": "daemon", "LOGNAME": "daemon",
                    "HOME": daemon.pw_dir, "LIMPET_POOL": "web", "LIMPET_SLOT": str(slot), "LIMPET_GENERATION": "1",
                    "NODE_APP_INSTANCE": str(slot), "LIMPET_LINK_FD": "3", "PATH": os.environ["PATH"]}
        assert {name: found.get(name) for name in expected} == expected
        assert set(found) - set(expected) <= {"NOTIFY_SOCKET", "LANG", "LC_ALL", "TZ"}


def test_an_ordinary_user_can_run_it(limpet):
    """Everything but the change of identity works: state, runtime directory, workers, the acceptor's death, the stop."""
    home = limpet.path("home")
    os.mkdir(home)
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    shutil.copy(BINARY, limpet.path("program"))
    limpet.binary = limpet.path("program")
    port = free_port()
    text = config(port, command=f"{limpet.binary} @demo", limits="user = daemon")
    limpet.start(text, env={"HOME": home, "STATE_DIRECTORY": "", "RUNTIME_DIRECTORY": "", "XDG_STATE_HOME": "",
                            "XDG_RUNTIME_DIR": ""},
                 user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[])
    assert limpet.log_lines("WARNING.*user = daemon has no effect: Limpet was not started as root")
    assert os.stat(f"{home}/.local/state/limpet/limpet.seed").st_mode & 0o777 == 0o600
    for pid in [limpet.pid, limpet.acceptor_pid(), limpet.warden_pid(), *limpet.workers().values()]:
        status = is_whom(pid, NOBODY.pw_uid, NOBODY.pw_gid, [])
        assert int(status["CapEff"], 16) == 0
    with HttpClient(port) as client:
        me = client.get_json()
        os.kill(limpet.acceptor_pid(), signal.SIGKILL)
        os.kill(limpet.workers()[1 - me["slot"]], signal.SIGKILL)
        assert http_get(port, seconds=30)["pid"] == me["pid"]
        assert client.get_json()["pid"] == me["pid"]
    (temporary,) = {os.path.dirname(environment_of(pid)["NOTIFY_SOCKET"]) for pid in limpet.workers().values()}
    assert limpet.stop() == 0
    assert not os.path.exists(temporary)
