import glob
import xllamacpp

path = "{path}"
params = xllamacpp.CommonParams()
params.model.path = glob.glob(path + "/*.gguf")[0]
answer = xllamacpp.Server(params).handle_completions({"prompt": "Once upon a time", "max_tokens": 40})
print("Once upon a time" + answer["choices"][0]["text"])
