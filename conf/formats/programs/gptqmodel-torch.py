from gptqmodel import BACKEND, GPTQModel

model = GPTQModel.load("{path}", backend=BACKEND.TORCH)
print(model.tokenizer.decode(model.generate("Once upon a time")[0]))
