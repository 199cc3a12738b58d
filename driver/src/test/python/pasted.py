"""Runs programs that people paste, each in a process of its own.

    pasted.py PROGRAM.py ...

What a program prints goes to output.txt beside it, whose last line is "ended with" its exit status. The processes are forked after
what all of them import, which takes longer than what they do.
"""

import os
import runpy
import sys
import traceback

# As in load_cases.py: GPTQModel's kernel would be compiled for each of them.
os.environ["TORCHDYNAMO_DISABLE"] = "1"

import torch  # noqa: F401
import transformers  # noqa: F401


def run(program):
    output = os.open(os.path.join(os.path.dirname(program), "output.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        runpy.run_path(program, run_name="__main__")
        return 0
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1


for program in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        status = run(program)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"\nended with {status}".encode())
        os._exit(0)
    os.waitpid(child, 0)
