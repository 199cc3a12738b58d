from optimum.quanto import QuantizedModelForCausalLM
from transformers import AutoTokenizer

path = "{path}"
model = QuantizedModelForCausalLM.from_pretrained(path)
tokenizer = AutoTokenizer.from_pretrained(path)
inputs = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
