"""The tables of the bench scripts, from what the runs left. Only the standard library.

tables.py run NAME KEY=VALUE...     one line of JSON from NAME.time and NAME.busy
tables.py tokens FILE               the first 16 digits of the tokens' hash, from our report or a peer's result
tables.py speed RUNS                wall clock, memory and ratios
tables.py quality PPL BITS...       perplexity and KL; PPL is the output of perplexity.py for checkpoints named wBITS-VARIANT
tables.py ratios PPL...             KL over the peer's of the same draw: mean and standard error over the draws, one PPL each
tables.py methods PPL ROWS          each row of methods.sh beside the format's own tool; PPL of folders ours/ROW and theirs/ROW
tables.py propagation RUNS PPL      stages against wall clock and KL
tables.py demo RECIPE REPORT        a row of demo.sh
"""
import json
import re
import sys
from pathlib import Path
from statistics import mean, median, stdev


def run(name, *facts):
    text = Path(name + ".time").read_text()
    found = lambda what: re.search(what + r".*: ([\d:.]+)", text)[1]
    wall = 0.0
    for field in found("Elapsed").split(":"):
        wall = 60 * wall + float(field)
    own = float(found("User time")) + float(found("System time"))
    print(json.dumps({
        **dict(f.split("=", 1) for f in facts),
        "wall": wall,
        "cpu": own,
        "other": round(max(0.0, float(Path(name + ".busy").read_text()) - own), 1),
        "mib": int(found("Maximum resident")) // 1024,
    }))


def tokens(file):
    facts = json.loads(Path(file).read_text().strip())
    print(facts["tokens_sha"] if "tokens_sha" in facts else facts["calibration"]["sha256"][:16])


def lines(file, mark=""):
    return [json.loads(l[len(mark):]) for l in Path(file).read_text().splitlines() if l.startswith(mark)]


def spread(values, digits):
    values = [round(v, digits) for v in values]
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def noisy(runs):
    for r in runs:
        if r["other"] > 0.05 * r["wall"]:
            print(f"\nNot quiet, other processes took {r['other']} CPU seconds: {json.dumps(r)}")


def speed(file):
    runs = lines(file)
    if len({r["tokens"] for r in runs}) != 1:
        sys.exit(f"tables.py: the runs did not see the same tokens: { {r['tool']: r['tokens'] for r in runs} }")
    by = {}
    for r in runs:
        by.setdefault(r["tool"], {})[r["turn"]] = r
    ours = [t for t in by if t.startswith("quern")]
    print("| | wall clock, s | peak memory, MiB |" + "".join(f" wall clock / {o}'s, each turn |" for o in ours))
    print("|---|---|---|" + "---|" * len(ours))
    for tool, turns in by.items():
        ratios = "".join(
            " |" if tool in ours else " " + spread([r["wall"] / by[o][t]["wall"] for t, r in turns.items()], 2) + " |"
            for o in ours)
        print(f"| {tool} | {spread([r['wall'] for r in turns.values()], 1)} |"
              f" {spread([r['mib'] for r in turns.values()], 0)} |{ratios}")
    print(f"\nTokens {runs[0]['tokens']} in all of them.")
    noisy(runs)


def quality(file, *widths):
    scores = {Path(s["checkpoint"]).name: s for s in lines(file, "PPL ")}
    full = next(s for s in scores.values() if s["kl"] == 0 and s["top1_agree"] == 1.0)
    print(f"Full precision: perplexity {full['ppl']:.3f}; {full['tokens']} tokens scored.\n")
    variants = list(dict.fromkeys(n.split("-", 1)[1] for n in scores if re.match(r"w\d-", n)))
    print("| |" + "".join(f" {w} bits: perplexity, KL |" for w in widths))
    print("|---|" + "---|" * len(widths))
    for v in variants:
        cells = [scores.get(f"w{w}-{v}") for w in widths]
        print(f"| {v} |" + "".join(f" {c['ppl']:.3f}, {c['kl']:.4f} |" if c else " |" for c in cells))


PAIRS = {
    "defaults, llm-compressor's": ("quern", "llmcompressor-static"),
    "defaults, llm-compressor's, whole rows": ("quern", "llmcompressor-off"),
    "defaults, GPTQModel's": ("quern", "gptqmodel-gar05"),
    "llm-compressor's order": ("quern-static", "llmcompressor-static"),
    "GPTQModel's order": ("quern-group", "gptqmodel-gar"),
    "none, against GPTQModel": ("quern-off", "gptqmodel-off"),
    "none, against llm-compressor": ("quern-off", "llmcompressor-off"),
    "none, against round-to-nearest": ("quern-off", "quern-rtn"),
    "llm-compressor's none, against round-to-nearest": ("llmcompressor-off", "quern-rtn"),
}


def spread_of_mean(ratios):
    error = f" ± {stdev(ratios) / len(ratios) ** 0.5:.3f} ({len(ratios)})" if len(ratios) > 1 else ""
    return f"{mean(ratios):.3f}{error}" if ratios else ""


def ratios(*files):
    draws = [{Path(s["checkpoint"]).name: s["kl"] for s in lines(f, "PPL ")} for f in files]
    widths = sorted({n[1] for d in draws for n in d if re.match(r"w\d-", n)}, reverse=True)
    for d in draws:  # round-to-nearest looks at no text, and was run once
        d |= {name: kl for name, kl in draws[0].items() if name.endswith("-rtn") and name not in d}
    print("| KL over the peer's |" + "".join(f" {w} bits |" for w in widths) + " all |")
    print("|---|" + "---|" * (len(widths) + 1))
    for name, (own, peer) in PAIRS.items():
        cells = [[d[f"w{w}-{own}"] / d[f"w{w}-{peer}"] for d in draws if {f"w{w}-{own}", f"w{w}-{peer}"} <= d.keys()]
                 for w in widths]
        if any(cells):
            print(f"| {name} |" + "".join(f" {spread_of_mean(c)} |" for c in [*cells, sum(cells, [])]))


def methods(file, rows):
    """A row of the tool's name has, where it was measured, ours by gptq or with searched scales first, then ours as the tool does it, then the tool's."""
    scores = {"/".join(Path(s["checkpoint"]).parts[-2:]): s for s in lines(file, "PPL ")}
    full = next(s for s in scores.values() if s["kl"] == 0 and s["top1_agree"] == 1.0)
    cell = lambda s: f" {s['ppl']:.2f}, {s['kl']:.4f} |" if s else " |"
    print(f"Full precision: perplexity {full['ppl']:.2f}; {full['tokens']} tokens scored.\n")
    print("| | Quern | Quern, by the tool's method | the tool | KL / the tool's |\n|---|---|---|---|---|")
    names = [row.split("|")[0] for row in Path(rows).read_text().splitlines()]
    for tool in dict.fromkeys(name.split("+")[0] for name in names):
        ours = {name[len(tool):]: scores[f"ours/{name}"] for name in names if name.split("+")[0] == tool and f"ours/{name}" in scores}
        theirs = scores.get(f"theirs/{tool}")
        # What is ours by default: the solve, or what the tool does, beside which there is then the solve that was asked for.
        best = next((way for way in ("+gptq", "+searched") if way in ours), None)
        pair = [ours.pop(best), ours.pop("", None)] if best else [ours.pop("", None), ours.pop("+rtn", ours.pop("+imatrix", None))]
        ratios = [f"{s['kl'] / theirs['kl']:.3f}" for s in pair if s and theirs]
        print(f"| {tool} |{cell(pair[0])}{cell(pair[1])}{cell(theirs)} {', '.join(ratios)} |")
        for other, s in ours.items():
            print(f"| {tool}{other} |{cell(s)} |{cell(theirs)}" + (f" {s['kl'] / theirs['kl']:.3f} |" if theirs else " |"))


def times(folder):
    """Seconds of each row in each turn, ours and the tool's."""
    seconds = {}
    for turn in sorted(Path(folder).glob("turn-*")):
        for found in re.finditer(r"^([\d.]+) s, exit 0: quantize\t.*/ours/(\S+?)\t", (turn / "quern.log").read_text(), re.M):
            seconds.setdefault(found[2], ([], []))[0].append(float(found[1]))
        for log in turn.glob("*.log"):
            for done in lines(log, "DONE "):
                if "row" in done:
                    seconds.setdefault(done["row"], ([], []))[1].append(done["seconds"])
    print("| | Quern, s | the tool, s | Quern's / the tool's |\n|---|---|---|---|")
    for row, (ours, theirs) in seconds.items():
        theirs = theirs or seconds.get(row.partition("+")[0], ([], []))[1]  # by another method, beside the same tool
        ratios = [a / b for a, b in zip(ours, theirs)]
        print(f"| {row} | {spread(ours, 1)} | " + (f"{spread(theirs, 1)} | {spread(ratios, 2)} |" if ratios else "| |"))


def propagation(file, *ppl):
    runs = lines(file)
    scores = {Path(s["checkpoint"]).name: s for p in ppl for s in lines(p, "PPL ")}
    masters = sorted({r["master"] for r in runs})
    print("| bits | stages | perplexity | KL | KL / exact's |" + "".join(f" {m}, s |" for m in masters))
    print("|---|---|---|---|---|" + "---|" * len(masters))
    for bits in dict.fromkeys(r["bits"] for r in runs):
        exact = scores[f"w{bits}-s1"]["kl"]
        for stages in dict.fromkeys(r["stages"] for r in runs):
            s = scores[f"w{bits}-s{stages}"]
            walls = [[r["wall"] for r in runs if (r["bits"], r["stages"], r["master"]) == (bits, stages, m)] for m in masters]
            print(f"| {bits} | {stages} | {s['ppl']:.3f} | {s['kl']:.4f} | {s['kl'] / exact:.3f} |"
                  + "".join(f" {spread(w, 1)} |" if w else " |" for w in walls))
    noisy(runs)


def demo(recipe, report):
    facts = json.loads(Path(report).read_text())
    score = facts["evaluation"]
    print(f"| {recipe} | {facts['size']['bitsPerWeight']:.2f} | {score['perplexityAfter']:.2f} | {score['kl']:.3g} |")


globals()[sys.argv[1]](*sys.argv[2:])
