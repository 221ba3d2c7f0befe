"""Runs first in the binary: the process that unpacked it passes every signal on to us, its child.

A terminal sends Ctrl-C to both of us, so that it would come twice; and a daemon takes the second one for impatience,
and ends without its goodbyes. In a process group of our own we get it once. `chat` reads from the terminal, which only
the group in front may do.
"""

import os
import sys
from contextlib import suppress

if sys.argv[1:2] in (["serve"], ["bench"]):
    with suppress(PermissionError):  # we lead a session, and nobody passes anything on
        os.setpgid(0, 0)
