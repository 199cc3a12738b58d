/**
 * What a finished model looks like to programs that read no folder of safetensors: one GGUF file, with its config and its tokenizer.
 *
 * <p>The tensors of a file, and their types, are known before any data exists; quantized linears come from the pieces of a run, all
 * others from the source, a slice of rows at a time. What llama.cpp could not run is refused before anything is written: a family without
 * names there, rotary positions that it does not know, a tokenizer that cuts text in a way that has no name there.
 */
@NullMarked
package quern.export;

import org.jspecify.annotations.NullMarked;
