#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""complete.py bash|zsh|fish LINE: types LINE into that shell on a terminal and
has it put in everything that its completion offers there; prints the line as
it stands then. Nothing of the user's is read. COW_COMPLETIONS is the directory
of completion files, as installed (share/).
"""
import os
import pty
import re
import select
import signal
import sys
import tempfile
import time

SHARE = os.environ["COW_COMPLETIONS"]
# Where zsh keeps what compinit has found: made by the first call, then used.
DUMP = os.path.join(SHARE, "zsh", "compdump")
READY, DONE = "READY%d." % os.getpid(), "LINE%d=" % os.getpid()
BASH = """PS1= PS2= HISTFILE=/dev/null
. /usr/share/bash-completion/bash_completion
bind '"\\C-xi": insert-completions'
bind 'set completion-query-items 0' 'set bell-style none'
bind -x '"\\C-xp": printf "%s%s#\\n" {done} "$READLINE_LINE"'
printf '%s%s\\n' {ready} ''
"""
ZSH = """PS1= PS2= RPS1=
unsetopt prompt_cr prompt_sp beep; zstyle ':completion:*' list-max 0
fpath=({share}/zsh/site-functions $fpath)
autoload -Uz compinit && compinit -u -C -d {dump}
all() {{ _main_complete; compstate[insert]=all; compstate[list]= }}
zle -C all complete-word all; bindkey '^Xi' all
show() {{ print -r -- {done}$BUFFER'#' }}
zle -N show; bindkey '^Xp' show
print -r -- {ready}
"""


def start(shell, directory):
    """The shell on a terminal of its own; gives (pid, descriptor, first line)."""
    env = {"PATH": os.environ["PATH"], "HOME": directory, "TERM": "dumb", "LC_ALL": "C",
           "XDG_DATA_DIRS": SHARE, "XDG_DATA_HOME": SHARE, "COLUMNS": "2000"}
    rc = os.path.join(directory, "rc")
    with open(rc, "w") as f:
        words = {"ready": READY, "done": DONE, "share": SHARE, "dump": DUMP}
        f.write((BASH if shell == "bash" else ZSH).format(**words))
    argv = {"bash": ["bash", "--noprofile", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    return pid, fd, ". %s\n" % rc


def read_until(fd, pattern, seconds=30):
    text, end = "", time.monotonic() + seconds
    while not re.search(pattern, text):
        if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            raise SystemExit("the shell does not answer; so far: %r" % text)
        text += os.read(fd, 65536).decode(errors="replace")
    return re.search(pattern, text).group(1)


def fish(line):
    """fish says by itself what it would offer."""
    share = os.path.join(SHARE, "fish/vendor_completions.d")
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, LC_ALL="C")
        os.execvp("fish", ["fish", "--private", "-c", "set fish_complete_path %s; complete -C %s"
                           % (share, "'" + line.replace("'", "\\'") + "'")])


def main(shell, line):
    if shell == "fish":
        fish(line)
    with tempfile.TemporaryDirectory() as directory:
        pid, fd, first = start(shell, directory)
        try:
            os.write(fd, first.encode())
            read_until(fd, "(" + re.escape(READY) + ")")
            os.write(fd, line.encode() + b"\x18i\x18p")
            print(read_until(fd, re.escape(DONE) + r"([^#\r\n]*)#").strip())
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
