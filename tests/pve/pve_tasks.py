"""Tasks: they take time, may be stopped, and what went wrong stands in their last line."""
import re
import threading
import time

from pve_access import ApiError

UPID = re.compile(r"UPID:([^:]+):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:]+):([^:]*):([^:]+):")


class TaskError(Exception):
    """Ends a task with this text."""


class Task:
    def __init__(self, upid, kind, about, user, node):
        self.upid, self.kind, self.about, self.user, self.node = upid, kind, about, user, node
        self.log, self.warnings = [], 0
        self.started, self.ended, self.exit = int(time.time()), None, None
        self.stopping = threading.Event()
        self.done = threading.Event()

    def say(self, line):
        self.log.append(line)

    def warn(self, line):
        self.warnings += 1
        self.log.append(f"WARN: {line}")

    def end(self, text):
        self.log.append("TASK OK" if text == "OK" else f"TASK {text}" if text.startswith("WARNINGS") else f"TASK ERROR: {text}")
        self.ended, self.exit = int(time.time()), text
        self.done.set()

    def describe(self):
        user, _, token = self.user.partition("!")
        parts = UPID.fullmatch(self.upid)
        answer = {"upid": self.upid, "node": self.node, "type": self.kind, "id": self.about, "user": user,
                  "pid": int(parts[2], 16), "pstart": int(parts[3], 16), "starttime": self.started,
                  "status": "stopped" if self.done.is_set() else "running"}
        if token:
            answer["tokenid"] = token
        if self.done.is_set():
            answer["exitstatus"] = self.exit
        return answer


class Tasks:
    """`seconds`: how long a task takes. `state`: the lock on what tasks change."""

    def __init__(self, faults, state):
        self.all, self.seconds, self.faults, self.state = {}, 0.0, faults, state
        self.pid, self.lock = 0x1000, threading.Lock()

    def start(self, kind, about, user, node, work, abandon=lambda: None, seconds=0.0):
        """Runs `work(task)` aside; returns the UPID. `abandon`: what the product takes back when it fails at once.
        `seconds`: what it takes beside what all tasks take."""
        with self.lock:
            self.pid += 7
            upid = f"UPID:{node}:{self.pid:08X}:{0x33000 + self.pid:08X}:{int(time.time()):08X}:{kind}:{about}:{user}:"
        task = self.all[upid] = Task(upid, kind, str(about), user, node)
        threading.Thread(target=self.run, args=(task, work, abandon, seconds), daemon=True).start()
        return upid

    def run(self, task, work, abandon, seconds):
        fault = self.faults.take_task(task.kind)
        try:
            if fault and fault.early:
                abandon()
                raise TaskError(fault.text)
            if task.stopping.wait(self.seconds + seconds + (fault.seconds if fault else 0)):
                raise TaskError("received interrupt")
            if fault and fault.vanish:
                return None  # the node is down: nobody ends this task
            with self.state:
                undo = work(task)
                if fault and fault.text:
                    if undo:
                        undo()
                    raise TaskError(fault.text)
            for line in fault.warnings if fault else ():
                task.warn(line)
            return task.end(f"WARNINGS: {task.warnings}" if task.warnings else "OK")
        except TaskError as error:
            return task.end(str(error))
        except Exception as error:  # a mistake in the double must not look like a task that runs for ever
            return task.end(f"double: {type(error).__name__}: {error}")

    def find(self, upid, access, who):
        if not UPID.fullmatch(upid):
            raise ApiError(400, "Parameter verification failed.", {"upid": "unable to parse worker upid"})
        task = self.all.get(upid)
        if task is None:
            raise ApiError(400, "Parameter verification failed.", {"upid": "no such task"})
        if who not in (task.user, task.user.split("!")[0]):
            access.require(who, f"/nodes/{task.node}", ["Sys.Audit"])
        return task


class TaskFault:
    """What goes wrong with the next task of a kind. `text`: it fails with this, at its end unless `early`. `vanish`: its
    end never comes. `warnings`: it succeeds with these."""

    def __init__(self, kind, text="", early=False, seconds=0.0, vanish=False, warnings=(), times=1):
        self.kind, self.text, self.early, self.seconds = kind, text, early, seconds
        self.vanish, self.warnings, self.times = vanish, warnings, times


class RequestFault:
    """What goes wrong with a request whose "METHOD /path" matches `pattern`: an answer, a closed connection (before or
    after the work is done), or something that happens just before the work."""

    def __init__(self, pattern, status=0, text="", drop=None, before=None, times=1, skip=0):
        self.pattern, self.status, self.text = re.compile(pattern), status, text
        self.drop, self.before, self.times, self.skip = drop, before, times, skip


class Faults:
    def __init__(self):
        self.tasks, self.requests, self.lock = [], [], threading.Lock()

    def add(self, fault):
        (self.tasks if isinstance(fault, TaskFault) else self.requests).append(fault)
        return fault

    def clear(self):
        self.tasks, self.requests = [], []

    def take_task(self, kind):
        return self.take(self.tasks, lambda fault: fault.kind == kind)

    def take_request(self, line):
        return self.take(self.requests, lambda fault: fault.pattern.search(line))

    def take(self, among, fits):
        with self.lock:
            for fault in among:
                if fault.times > 0 and fits(fault):
                    if getattr(fault, "skip", 0) > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None
