import glob
import os
from transformers import AutoModelForCausalLM, AutoTokenizer

path = "{path}"
file = os.path.basename(glob.glob(path + "/*.gguf")[0])
model = AutoModelForCausalLM.from_pretrained(path, gguf_file=file)
tokenizer = AutoTokenizer.from_pretrained(path, gguf_file=file)
inputs = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
