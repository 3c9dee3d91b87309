"""What the operating system refused, in words that say what to do about it."""

import errno

_NO_RIGHT = ("be open to this user", "mend its permissions, or choose another folder")
_NOT_THERE = ("be there", "correct the path, or put it back")
_NO_ROOM = ("have room", "free space or raise the quota")
_TOO_MANY_FILES = ("be opened beside all others", "raise the limit of open files, `ulimit -n`")
_LOST = ("answer as a disk should", "look at the disk, its cable or the server that it is on")

_RULES = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: ("take a file of this size", "choose a file system that does"),
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: ("be writable", "choose a folder on a file system that is"),
    errno.ENOENT: _NOT_THERE,
    errno.ENODEV: _NOT_THERE,
    errno.ENOTDIR: ("lead through folders only", "correct the path: a part of it is a file"),
    errno.EISDIR: ("be a file", "correct the path: a folder is there"),
    errno.EEXIST: ("be free", "move away what is there, or choose another path"),
    errno.ENOTEMPTY: ("be free", "move away what is there, or choose another path"),
    errno.ENAMETOOLONG: ("have names of at most 255 bytes in it", "choose a shorter path"),
    errno.ELOOP: ("lead somewhere", "mend the symbolic links, which lead back to themselves"),
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: _TOO_MANY_FILES,
    errno.ENOMEM: ("fit into memory", "close other programs, or lower what the run asks for"),
    errno.EIO: _LOST,
    errno.ESTALE: _LOST,
    errno.ETIMEDOUT: _LOST,
    errno.ECONNREFUSED: ("be reachable", "look at the network and the server"),
}
"""By errno: what must hold of the path, and what to do."""

_OTHER = ("be usable", "mend what it tells")


def os_error_text(error: OSError) -> str:
    """A message in one line: the path, what was found, and what to do; checkpoints are as they were."""
    rule, remedy = _RULES.get(error.errno or 0, _OTHER)
    path = error.filename2 or error.filename or "a file or folder of this command"
    found = " ".join(str(error.strerror or error).split()) or type(error).__name__
    return (
        f"{path} must {rule} · found {found} · {remedy}, and start again; checkpoints are untouched, and "
        "resume=auto, the default, goes on from them"
    )
