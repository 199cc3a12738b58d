"""Runs a peer's script several times in one process, since importing its packages takes longer than a small model.

peers.py SCRIPT <LINES      each line the arguments of a run; one whose --out is there already is left out
"""
import os
import runpy
import shlex
import shutil
import sys
import traceback


def whole_rows():
    """The scripts ask llm-compressor for groups; one scale for a whole row is a strategy of its own there."""
    from llmcompressor.modifiers import gptq

    modifier = gptq.GPTQModifier

    def with_rows(config_groups, **options):
        for group in config_groups.values():
            if group["weights"]["group_size"] == -1:
                group["weights"] |= {"strategy": "channel", "group_size": None}
        return modifier(config_groups=config_groups, **options)

    gptq.GPTQModifier = with_rows


script = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.dirname(script))
if "llmcompressor" in script:
    whole_rows()
failed = 0
for line in sys.stdin:
    arguments = shlex.split(line)
    out = arguments[arguments.index("--out") + 1]
    if os.path.exists(out):
        continue
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except (Exception, SystemExit) as e:
        traceback.print_exc()
        print(f"FAILED {line.strip()}: {e}", flush=True)
        shutil.rmtree(out, ignore_errors=True)
        failed = 1
sys.exit(failed)
