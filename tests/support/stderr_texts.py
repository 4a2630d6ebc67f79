"""What kernels that do not start leave on stderr, as their users have reported it."""

from __future__ import annotations

from dataclasses import dataclass

TCP_WARNING = (
    "[IPKernelApp] WARNING | Kernel is running over TCP without encryption. All communication "
    "(including code and outputs) is sent in plain text and is susceptible to eavesdropping. Use "
    "IPC transport or launch with kernel manager-provisioned CurveZMQ keys to enable transport "
    "encryption."
)
"""The last line of many healthy ipykernels."""

TRACEBACK = 'Traceback (most recent call last):\n  File "/opt/lib/k.py", line 3, in <module>\n'


@dataclass(frozen=True)
class Text:
    """A text on stderr, the cause it means, and what the reason says and does not say.

    `{folder}` in it stands for a folder in which a `random.py` and a `zmq.py` of the user's exist.
    """

    text: str
    cause: str
    says: tuple[str, ...]
    not_says: tuple[str, ...] = ()


TEXTS = {
    "module": Text(
        TRACEBACK + "ModuleNotFoundError: No module named 'pandas_xyz'",
        "ModuleNotFound",
        ("pandas_xyz",),
    ),
    "module in a package": Text(
        TRACEBACK + "ModuleNotFoundError: No module named 'corp_xyz.kernels.r'",
        "ModuleNotFound",
        ("corp_xyz.kernels.r",),
    ),
    "module of another Python": Text(
        "/opt/envs/py/bin/python: No module named ipykernel_launcher",
        "ModuleNotFound",
        ("ipykernel_launcher", "/opt/envs/py/bin/python"),
    ),
    "package of a -m": Text(
        "/opt/py/bin/python3: Error while finding module specification for 'corp_xyz.launch' "
        "(ModuleNotFoundError: No module named 'corp_xyz')",
        "ModuleNotFound",
        ("corp_xyz",),
    ),
    "module in colours": Text(
        "\x1b[0;31mModuleNotFoundError\x1b[0m: No module named \x1b[32m'pandas_xyz'\x1b[0m",
        "ModuleNotFound",
        ("pandas_xyz",),
        ("\x1b", "[32m"),
    ),
    "module, Windows lines": Text(
        TRACEBACK.replace("\n", "\r\n")
        + "ModuleNotFoundError: No module named 'pandas_xyz'\r\n\r\n",
        "ModuleNotFound",
        ("pandas_xyz",),
        ("\r",),
    ),
    "module, then the launcher's own line": Text(
        TRACEBACK
        + "ModuleNotFoundError: No module named 'pandas_xyz'\n\nERROR conda.cli.main_run: "
        "`conda run python -m ipykernel_launcher` failed. (See above for error)",
        "ModuleNotFound",
        ("pandas_xyz",),
    ),
    "name": Text(
        TRACEBACK + "ImportError: cannot import name 'IPKernelApp' from 'ipykernel.kernelapp' "
        "(/opt/lib/python3.11/site-packages/ipykernel/kernelapp.py)",
        "ImportError",
        ("IPKernelApp", "ipykernel.kernelapp"),
    ),
    "shared library": Text(
        TRACEBACK + "ImportError: libzmq.so.5: cannot open shared object file: "
        "No such file or directory",
        "ImportError",
        ("libzmq.so.5",),
    ),
    "shared library of a Mac": Text(
        TRACEBACK + "ImportError: dlopen(/opt/lib/zmq/_zmq.so, 0x0002): Library not loaded: "
        "@rpath/libzmq.5.dylib",
        "ImportError",
        ("libzmq.5.dylib",),
    ),
    "older C library": Text(
        TRACEBACK + "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found "
        "(required by /opt/lib/zmq/_zmq.so)",
        "ImportError",
        ("GLIBC_2.34",),
    ),
    "shadow, in a circle": Text(
        'Traceback (most recent call last):\n  File "{folder}/random.py", line 1, in <module>\n'
        "ImportError: cannot import name 'Random' from partially initialized module 'random' "
        "(most likely due to a circular import) ({folder}/random.py)",
        "ShadowedModule",
        ("{folder}/random.py",),
    ),
    "shadow, as Python 3.13 says": Text(
        TRACEBACK
        + "ImportError: cannot import name 'Random' from 'random' (consider renaming '{folder}/"
        "random.py' since it has the same name as the standard library module named 'random' and "
        "prevents importing that standard library module)",
        "ShadowedModule",
        ("{folder}/random.py",),
    ),
    "shadow of a library, as Python 3.13 says": Text(
        TRACEBACK + "AttributeError: module 'zmq' has no attribute 'Context' (consider renaming "
        "'{folder}/zmq.py' if it has the same name as a library you intended to import)",
        "ShadowedModule",
        ("{folder}/zmq.py",),
    ),
    "shadow, in its own line": Text(
        'Traceback (most recent call last):\n  File "{folder}/random.py", line 3, in <module>\n'
        "    mine = random.randint(1, 2)\n"
        "AttributeError: partially initialized module 'random' has no attribute 'randint' "
        "(most likely due to a circular import)",
        "ShadowedModule",
        ("{folder}/random.py",),
    ),
    "shadow, by its attribute": Text(
        'Traceback (most recent call last):\n  File "{folder}/random.py", line 3, in <module>\n'
        "    import tempfile\n"
        '  File "/usr/lib/python3.11/tempfile.py", line 45, in <module>\n'
        "AttributeError: partially initialized module 'random' has no attribute 'Random' "
        "(most likely due to a circular import)",
        "ShadowedModule",
        ("{folder}/random.py",),
    ),
    "words of its own": Text(
        "night-kernel: there is no profile 'night' in /etc/night",
        "StartFailed",
        ("there is no profile 'night'",),
    ),
    "another error": Text(
        TRACEBACK + "ValueError: the port must be a number",
        "StartFailed",
        ("ValueError", "the port must be a number"),
    ),
    "a missing module it can do without": Text(
        "WARNING | No module named 'optional_xyz', going on without it\n"
        + TRACEBACK
        + "ValueError: the port must be a number",
        "StartFailed",
        ("the port must be a number",),
        ("optional_xyz",),
    ),
    "a missing module it has coped with": Text(
        TRACEBACK
        + "ModuleNotFoundError: No module named 'fast_xyz'\n\nDuring handling of the above "
        "exception, another exception occurred:\n\n"
        + TRACEBACK
        + "PermissionError: [Errno 13] Permission denied: '/srv/key'",
        "StartFailed",
        ("/srv/key",),
        ("fast_xyz",),
    ),
    "only the warning of a healthy kernel": Text(
        TCP_WARNING, "StartFailed", ("5",), ("encryption", "eavesdropping", "IPKernelApp")
    ),
    "words, then the warning of a healthy kernel": Text(
        "night-kernel: there is no profile 'night'\n" + TCP_WARNING,
        "StartFailed",
        ("there is no profile 'night'",),
        ("encryption", "eavesdropping"),
    ),
}
"""By name. The kernel ends with exit code 5 after it."""

LOADER = (
    "xpython: error while loading shared libraries: libzmq.so.5: cannot open shared object file"
)
"""What a native kernel says, with exit code 127, when its library is missing."""

IN_USE = {
    "pyzmq": "zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:45053')",
    "older pyzmq": TRACEBACK + "zmq.error.ZMQError: Address already in use",
    "Python": TRACEBACK + "OSError: [Errno 98] Address already in use",
    "Java": 'Exception in thread "main" java.net.BindException: Address already in use',
}
"""A port that is taken, in the words of several languages."""
