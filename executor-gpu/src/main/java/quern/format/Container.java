package quern.format;

/** The kind of files that tensors are put in. */
public enum Container {
    /** A folder as of transformers: files of tensors, an index, {@code config.json}, the tokenizer's files. */
    SAFETENSORS,
    /** One file, which holds the config and the tokenizer, too. */
    GGUF
}
