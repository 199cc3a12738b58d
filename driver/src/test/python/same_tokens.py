"""What llama.cpp makes of text, beside what the tokenizer does that the file was made of.

    same_tokens.py CASES.json RESULTS.jsonl

A case: {"name", "checkpoint": folder with a GGUF file, "tokenizer": tokenizer.json, "texts": [...]}. A result, one line of JSON: {"name",
"different": [{"text", "expected", "found"}]}.
"""

import json
import sys
import urllib.request

import tokenizers
import xllamacpp

from load_cases import gguf_of


def asked(address, path, body):
    request = urllib.request.Request(
        address + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def main(cases_file, results_file):
    with open(cases_file) as file:
        cases = json.load(file)
    with open(results_file, "w") as results:
        for case in cases:
            params = xllamacpp.CommonParams()
            params.model.path = gguf_of(case["checkpoint"])
            params.n_ctx, params.warmup, params.verbosity = 256, False, 0
            server = xllamacpp.Server(params)
            tokenizer = tokenizers.Tokenizer.from_file(case["tokenizer"])
            different = []
            for text in case["texts"]:
                expected = tokenizer.encode(text).ids
                body = {"content": text, "add_special": True, "parse_special": True}
                found = asked(server.listening_address, "/tokenize", body)["tokens"]
                if found != expected:
                    different.append({"text": text, "expected": expected, "found": found})
            results.write(json.dumps({"name": case["name"], "different": different}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
