"""What model-written code might try: each probe gets through only if it reaches its end.

A probe may end its session (a limit did its work) or raise (a wall held). Names such as CANARY come from the
canary of the self-test; HARM is checked from outside after every probe by the test.
"""

from typing import NamedTuple

MIB = 1 << 20
MEMORY, DISK, FILE, FILES, PROCESSES = 512 * MIB, 96 * MIB, 48 * MIB, 2000, 40
"""The limits that the bombs run into."""


class Attack(NamedTuple):
    name: str
    code: str


_SYSCALLS = """
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
opened = []
calls = {"bpf": (280 if arm else 321, (0, 0, 0)), "perf": (241 if arm else 298, (0, 0, -1, -1, 0)),
         "userfaultfd": (282 if arm else 323, (0,)), "io_uring": (425, (1, ctypes.create_string_buffer(120))),
         "keyctl": (219 if arm else 250, (0, -3, 1)), "clone3": (435, (0, 0)), "pidfd_getfd": (438, (0, 0, 0)),
         "kcmp": (272 if arm else 312, (PID, os.getpid(), 0, 0, 0)), "memfd_secret": (447, (0,)),
         "a call of the future": (500, (0,))}
for name, (number, arguments) in calls.items():
    ctypes.set_errno(0)
    if libc.syscall(number, *arguments) >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        opened.append(name)
assert opened, opened
"""
_READ_MEMORY = """
part = ctypes.create_string_buffer(8)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
mine, theirs = Vector(ctypes.addressof(part), 8), Vector(0x400000, 8)
libc.process_vm_readv(PID, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
assert ctypes.get_errno() not in (1, 3, 38)
"""
_ALL_OF_PROC = """
found = b""
for pid in os.listdir("/proc"):
    if pid.isdigit():
        try:
            found += open(f"/proc/{pid}/%s", "rb").read()
        except OSError:
            pass
assert %s in found
"""
_DESCRIPTORS = """
import stat
held = []
for number in range(256):
    try:
        state = os.fstat(number)
    except OSError:
        continue
    if stat.S_ISSOCK(state.st_mode) or (state.st_dev, state.st_ino) == (os.stat(CANARY).st_dev, os.stat(CANARY).st_ino):
        held.append(number)
assert held
"""
_FORKS = """
import time
for _ in range(300):
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
time.sleep(2)
"""
_THREADS = """
import threading, time
for _ in range(300):
    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
time.sleep(2)
"""
_CHILDREN = """
import time
read, write = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        kept = bytearray(160 << 20)
        kept[::4096] = b"x" * len(kept[::4096])
        os.write(write, b"1")
        time.sleep(5)
        os._exit(0)
have = b""
while len(have) < 8:
    have += os.read(read, 8)
time.sleep(1)
"""
_FILL = """
import time
for number in range(4):
    with open(f"full-{number}", "wb") as file:
        for _ in range(40):
            file.write(b"0" * (1 << 20))
            time.sleep(0.005)
time.sleep(1)
"""
_MANY = """
import time
for number in range(8000):
    open(f"many-{number}", "w").close()
time.sleep(1)
"""
_DEEP = """
import time
for _ in range(2000):
    os.mkdir("d")
    os.chdir("d")
time.sleep(1)
"""
_HIDDEN = """
import time
os.mkdir("hidden", 0o300)
for number in range(8000):
    open(f"hidden/{number}", "w").close()
time.sleep(1)
"""
_PAGES_OF_NONE = """
import mmap
kept = []
for _ in range(24):
    pages = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    pages[::4096] = b"x" * ((64 << 20) // 4096)
    pages.madvise(mmap.MADV_DONTNEED)
    kept.append(pages)
"""
_BOMB = """
def bomb():
    while True:
        try:
            os.fork()
        except OSError:
            pass
bomb()
"""
_DEAF = """
import signal, time
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""

_NAMELESS = """
import time
kept = []
for number in range(6):
    kept.append(open(f"none-{number}", "wb"))
    os.unlink(f"none-{number}")
    kept[-1].write(b"0" * (40 << 20))
    kept[-1].flush()
time.sleep(2)
"""
_MAPPED = """
import mmap, time
kept = []
for number in range(6):
    with open(f"none-{number}", "w+b") as file:
        file.write(b"0" * (40 << 20))
        file.flush()
        kept.append(mmap.mmap(file.fileno(), 40 << 20))
    os.unlink(f"none-{number}")
time.sleep(2)
"""
_IN_FLIGHT = """
a, b = socket.socketpair()
for number in range(6):
    with open(f"none-{number}", "wb") as file:
        os.unlink(f"none-{number}")
        file.write(b"0" * (40 << 20))
        file.flush()
        socket.send_fds(a, [b"x"], [file.fileno()])
"""

SLOW = (
    "forks without end",
    "three times the memory",
    "the memory by children",
    "too many files",
    "files in a folder that cannot be listed",
)
"""Those that take seconds, because they fill something up."""

PROBES = tuple(
    Attack(*pair)
    for pair in (
        # files of the host
        ("read a file of the host", "open(CANARY).read()"),
        ("read the shadow file", "open('/etc/shadow', 'rb').read(1)"),
        ("read the passwd file", "open('/etc/passwd', 'rb').read(1)"),
        ("list a folder of the host", "assert os.path.basename(FOLDER) in os.listdir(os.path.dirname(FOLDER))"),
        ("write into a folder that everyone may write", "open(FOLDER + '/made', 'w').write('x')"),
        ("write a temporary file of the host", "open(OUTSIDE, 'w').write('x'); assert False"),
        ("write beside the standard library", "open(os.path.dirname(os.__file__) + '/made.py', 'w').write('x')"),
        ("follow a link out of /mnt/data", "os.symlink(CANARY, 'link'); open('link').read()"),
        ("hard-link a file of the host", "os.link(CANARY, 'hard'); open('hard').read()"),
        ("walk through the root of process 1", "open('/proc/1/root' + CANARY).read()"),
        ("walk through its own root", "open('/proc/self/root' + CANARY).read()"),
        ("read the file of another session", "open(OTHER + '/secret.txt').read()"),
        ("list the files of another session", "os.listdir(OTHER)"),
        (
            "change the mode and times of a file of the host",
            "os.chmod(CANARY, 0); os.utime(CANARY, (1, 1)); assert False",
        ),
        (
            "change the mode by an open descriptor",
            "os.fchmod(os.open(os.__file__, os.O_RDONLY), 0); assert os.stat(os.__file__).st_mode & 0o777 == 0",
        ),
        (
            "change extended attributes",
            "os.setxattr(CANARY, 'user.x', b'x'); assert b'x' == os.getxattr(CANARY, 'user.x')",
        ),
        ("empty a file by its path", "os.truncate(CANARY, 0)"),
        ("empty a readable file on opening", "os.open(os.__file__, os.O_RDONLY | os.O_TRUNC)"),
        ("remove a file of the host", "os.unlink(CANARY)"),
        ("put a link in the place of its own folder", "here = os.getcwd(); os.rename(here, here + '-2')"),
        (
            "watch a folder of the host",
            "assert libc.inotify_add_watch(libc.inotify_init(), FOLDER.encode(), 0xFFF) >= 0",
        ),
        # network and sockets
        ("connect to a port", "socket.create_connection(('127.0.0.1', PORT), 2)"),
        ("find a route out", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53))"),
        ("send a datagram", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))"),
        ("listen on a port", "socket.create_server(('127.0.0.1', 0))"),
        ("connect to a socket file", "socket.socket(socket.AF_UNIX).connect(SOCKET)"),
        ("connect to an abstract socket", "socket.socket(socket.AF_UNIX).connect(ABSTRACT)"),
        (
            "send to a socket file from a pair",
            "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', DATAGRAM)",
        ),
        (
            "connect a pair again",
            "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect(DATAGRAM)",
        ),
        (
            "open sockets of rare families",
            "opened = []\nfor family, kind in ((16, 3), (17, 3), (40, 1), (38, 5)):\n"
            "    try: opened.append(socket.socket(family, kind))\n    except OSError: pass\nassert opened",
        ),
        # other processes
        ("see processes of the host", "assert str(PID) in os.listdir('/proc')"),
        ("find a secret in any environment", _ALL_OF_PROC % ("environ", "SECRET")),
        ("find the command lines of others", _ALL_OF_PROC % ("cmdline", "b'sleep'")),
        (
            "find a secret in its own environment",
            "assert any(SECRET.decode() in value for value in os.environ.values())",
        ),
        ("signal the server", "os.kill(SERVER, 0)"),
        ("signal a process of the same user", "os.kill(PID, 0)"),
        ("signal everyone", "os.kill(-1, 15); assert False"),
        ("trace a process", "assert libc.ptrace(16, PID, 0, 0) == 0"),
        ("open the memory of a process", "open(f'/proc/{PID}/mem', 'rb')"),
        ("read the memory of a process", _READ_MEMORY),
        ("take the limits of a process away", "resource.prlimit(PID, resource.RLIMIT_NOFILE, (0, 0))"),
        ("make a process slow", "os.setpriority(os.PRIO_PROCESS, PID, 19)"),
        ("pin a process to one processor", "os.sched_setaffinity(PID, {0})"),
        ("inherit a descriptor", _DESCRIPTORS),
        # the kernel
        ("make a user namespace", "assert libc.unshare(0x10000000) == 0"),
        ("mount a file system", "assert libc.mount(b'x', os.getcwd().encode(), b'tmpfs', 0, None) == 0"),
        ("make a block device", "os.mknod('block', 0o600 | 0o060000, os.makedev(254, 0))"),
        ("call what is rare or young", _SYSCALLS),
        (
            "become root by su",
            "null = subprocess.DEVNULL\nr = subprocess.run(['su', '-c', 'id'], capture_output=True, stdin=null)\n"
            "assert b'uid=0' in r.stdout and os.getuid() != 0",
        ),
        (
            "list the descriptors of its parent",
            "assert PID and os.listdir(f'/proc/{os.getppid()}/fd') and os.getppid() > 1",
        ),
        ("read kernel's keys", "assert open('/proc/keys').read()"),
        ("run from memory", "os.execv(f'/proc/self/fd/{os.memfd_create(chr(120))}', ['x'])"),
        (
            "link a file of the host and change it",
            "os.link(os.__file__, 'hard'); os.chmod('hard', 0); open('hard', 'a')",
        ),
        (
            "give a file the right of its owner",
            "os.close(os.open('suid', os.O_CREAT | os.O_WRONLY, 0o4755))\n"
            "os.chmod('suid', 0o4755); assert os.stat('suid').st_uid != os.getuid()",
        ),
        ("take real-time priority", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))"),
        ("share memory of System V", "assert libc.shmget(0, 4096, 0o1777) >= 0"),
        ("type into a terminal", "fcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')"),
        ("raise its own limits", "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
        ("leave the process group", "os.setsid()"),
        # bombs
        ("300 forks", _FORKS),
        ("300 threads", _THREADS),
        ("forks without end", _BOMB),
        ("three times the memory", f"x = [bytearray(b'x' * {64 * MIB}) for _ in range(24)]; time.sleep(1)"),
        ("the memory by children", _CHILDREN),
        ("memory that no process maps", _PAGES_OF_NONE),
        ("memory in files without a name", f"for _ in range(24): os.write(os.memfd_create('x'), b'x' * {FILE})"),
        ("a full disk by several files", _FILL),
        ("a full disk by files without a name", _NAMELESS),
        ("a full disk by mapped files without a name", _MAPPED),
        ("a full disk by files in flight", _IN_FLIGHT),
        ("hide what it holds open", "assert libc.prctl(4, 0, 0, 0, 0) == 0"),
        ("one file too big", f"open('big', 'wb').write(b'0' * {FILE + MIB})"),
        ("shared memory files", "open('/dev/shm/x', 'wb').write(b'0' * (100 << 20))"),
        ("too many files", _MANY),
        ("folders too deep", _DEEP),
        ("files in a folder that cannot be listed", _HIDDEN),
        # time
        ("a loop for ever", "while True: pass"),
        ("deaf to every signal", _DEAF),
        # its own end
        ("end at once", "os._exit(3)"),
        ("crash", "ctypes.string_at(0)"),
    )
)
