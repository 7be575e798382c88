"""Processes as /proc shows them: CPU time, memory, children, CPUs."""

import os
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which is the second and may hold anything."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have taken, in user mode and in the kernel. Raises OSError."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # utime, stime


def machine_cpu_seconds() -> float:
    """CPU time that the machine has spent on anything but idling, time stolen by its host included."""
    user, nice, system, _idle, _io_wait, irq, soft_irq, steal, *_ = (
        int(field) for field in (_PROC / "stat").read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + soft_irq + steal) / _TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """Memory that a process has in RAM (RSS). Raises OSError."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES


def peak_resident_bytes(pid: int) -> int:
    """The most memory that a process ever had in RAM (VmHWM). Raises OSError."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "VmHWM":
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/{pid}/status does not tell of VmHWM")


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int(_stat(int(entry.name))[1])
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        if parent == pid:
            found.append(int(entry.name))
    return sorted(found)


def command_line(pid: int) -> list[str]:
    """A process's program and arguments. Raises OSError."""
    return (_PROC / str(pid) / "cmdline").read_text().split("\0")[:-1]


def threads(pid: int) -> list[int]:
    """The thread IDs of a process. Raises OSError."""
    return [int(entry.name) for entry in (_PROC / str(pid) / "task").iterdir()]


def pin(pid: int, cpu: int) -> None:
    """Bind each thread of a process to one CPU. Raises OSError."""
    for thread in threads(pid):
        os.sched_setaffinity(thread, {cpu})


def be_nice(pid: int, niceness: int) -> None:
    """Have each thread of a process give way to others. Raises OSError."""
    for thread in threads(pid):
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


def be_realtime(pid: int) -> None:
    """Have each thread of a process go before all ordinary ones. Raises PermissionError."""
    for thread in threads(pid):
        os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def file_system(path: Path) -> str:
    """The type of the file system that a path is on, such as ext4 or tmpfs."""
    real = path.resolve()
    best, kind = Path("/"), "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, mount_kind, *_ = line.split()
        mount_point = Path(mount.replace("\\040", " "))
        if real.is_relative_to(mount_point) and len(mount_point.parts) >= len(best.parts):
            best, kind = mount_point, mount_kind
    return kind


def cpu_model() -> str:
    """The CPU's name."""
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unknown CPU"


def memory_bytes() -> int:
    """The machine's RAM."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
