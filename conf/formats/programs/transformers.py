import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

path = "{path}"
device = "auto" if torch.cuda.is_available() else "cpu"
model = AutoModelForCausalLM.from_pretrained(path, device_map=device)
tokenizer = AutoTokenizer.from_pretrained(path)
inputs = tokenizer("Once upon a time", return_tensors="pt").to(model.device)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
