"""What a run costs: CPU seconds of those that take part, and of everybody else."""
import resource

from peers import CORES, machine_busy_s


def children_cpu_s():
    """Of programs that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Meter:
    """Begins when it is made. clocks: {name: CPU seconds so far}; "others" is what the rest of the machine took meanwhile."""

    def __init__(self, **clocks):
        self.clocks = clocks | {"all": machine_busy_s}
        self.before = self.read()

    def read(self):
        return {name: clock() for name, clock in self.clocks.items()}

    def used(self):
        used = {name: now - self.before[name] for name, now in self.read().items()}
        all_s = used.pop("all")
        return used | {"others": max(0, all_s - sum(used.values()))}


def share(cpu_s, took_s):
    """In percent of the machine."""
    return cpu_s * 100 / (took_s * CORES)
