"""The first process of a task: starts the command, reaps, and says how the command ended.

`sh` and bubblewrap's own init turn a death by signal into an exit code above 128, which a program
may also return by itself; this one hands the kernel's word on. It says, in lines on a pipe:

```
started                 the command runs (its program was really executed)
failed chdir <errno>    it does not, because of its working directory
failed exec <errno>     it does not, because of its program
ended <wait status>     it has ended, as wait(2) gives it
```

When it exits as pid 1 of a pid namespace, the kernel kills whatever the command left behind.
`task_init.pl` is the same for sandboxes, where an interpreter has to be loaded anew: perl takes
0.6 ms for that, Python 6 ms. This file is then the one for machines without perl, so it stays
alone: it imports nothing of windlass.
"""

import os
import sys


def pack(directory: str, command: tuple[str, ...], environment: dict[str, str]) -> bytes:
    """What to start, in the form that the init reads."""
    pairs = [f"{name}={value}" for name, value in environment.items()]
    fields = [directory, str(len(pairs)), *pairs, *command]
    return b"\0".join(os.fsencode(field) for field in fields)


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _become_command(fields: list[bytes], failed: int) -> None:
    count = int(fields[1])
    environment = dict(pair.split(b"=", 1) for pair in fields[2 : 2 + count])
    command = fields[2 + count :]
    step = b"chdir"
    try:
        os.chdir(fields[0])
        step = b"exec"
        os.execvpe(command[0], command, environment)  # noqa: S606
    except OSError as error:
        os.write(failed, b"failed %s %d\n" % (step, error.errno or 0))
    finally:
        os._exit(127)


def supervise(what: int, status: int) -> None:
    """Run the command that `what` describes and report on `status`; returns when it has ended.

    Args:
        what: A descriptor to read, with the content that `pack` makes.
        status: A descriptor to write lines to.
    """
    fields = _read_all(what).split(b"\0")
    os.close(what)
    os.set_inheritable(status, False)
    failure, failed = os.pipe()
    child = os.fork()
    if child == 0:
        _become_command(fields, failed)
    os.close(failed)
    # The pipe closes without a word when the program has been executed.
    os.write(status, _read_all(failure) or b"started\n")
    while True:
        pid, raw = os.wait()
        if pid == child:
            os.write(status, b"ended %d\n" % raw)
            return


if __name__ == "__main__":
    supervise(int(sys.argv[1]), int(sys.argv[2]))
