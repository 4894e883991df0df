"""What a process cost, from the kernel's own accounting in /proc: processor time and memory."""

import os

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and all below it."""
    pids = [pid]
    for task in tasks(pid):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as children:
                for child in children.read().split():
                    pids += family(int(child))
        except FileNotFoundError:
            pass
    return pids


def tasks(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []


class Moment:
    """The accounts of a process and of its core at one time; two of them make a `Span`."""

    def __init__(self, pid, core):
        self.exact, self.user, self.system = {}, 0, 0
        for member in family(pid):
            for task in tasks(member):
                try:
                    with open(f"/proc/{member}/task/{task}/schedstat") as schedstat:
                        self.exact[task] = int(schedstat.read().split()[0])
                except FileNotFoundError:
                    pass
            with open(f"/proc/{member}/stat") as stat:
                numbers = stat.read().rsplit(")", 1)[1].split()
            self.user += int(numbers[11]) * TICK
            self.system += int(numbers[12]) * TICK
        self.core = core_busy(core)


class Span:
    """Nanoseconds of processor time between two moments. `stat` counts in ticks of 10 ms; the scheduler's own
    account is exact but not split, so the total is the scheduler's and the split is by the ticks."""

    def __init__(self, before, after):
        ticks_user, ticks_system = after.user - before.user, after.system - before.system
        ticks = ticks_user + ticks_system
        exact = sum(spent - before.exact.get(task, 0) for task, spent in after.exact.items())
        self.total = exact if after.exact else ticks
        self.user = self.total * ticks_user / ticks if ticks else 0
        self.system = self.total - self.user
        # What others took of the proxy's core: a machine that is not quiet.
        self.foreign = max(0, after.core - before.core - self.total)


def core_busy(core):
    """Nanoseconds for which the core ran anything, with what the hypervisor took."""
    with open("/proc/stat") as stat:
        for line in stat:
            if line.startswith(f"cpu{core} "):
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
                return (user + nice + system + irq + softirq + steal) * TICK
    return 0


def memory(pid):
    """Resident KiB of the process and its children: (Rss, Pss). Pss counts shared pages once."""
    found = {"Rss": 0, "Pss": 0}
    for member in family(pid):
        with open(f"/proc/{member}/smaps_rollup") as rollup:
            for line in rollup:
                key = line.split(":", 1)[0]
                if key in found:
                    found[key] += int(line.split()[1])
    return found["Rss"], found["Pss"]
