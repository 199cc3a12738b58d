from vllm import LLM, SamplingParams

if __name__ == "__main__":  # its engine is a process of its own that imports this file again
    llm = LLM("{path}")
    print(llm.generate("Once upon a time", SamplingParams(max_tokens=40))[0].outputs[0].text)
