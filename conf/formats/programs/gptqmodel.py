from gptqmodel import GPTQModel

model = GPTQModel.load("{path}")
print(model.tokenizer.decode(model.generate("Once upon a time")[0]))
