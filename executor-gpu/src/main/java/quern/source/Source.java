package quern.source;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.Settings;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.tensor.TensorSource;

/**
 * What a model is read from.
 *
 * @param store its files
 * @param stored the tensors as they lie there
 * @param tensors the same, with weights of few bits dequantized, under the names and in the shapes of the unquantized model
 * @param lossy in which way weights are stored in few bits, for a person; null where all are in full precision
 */
public record Source(
        BlobStore store,
        TensorSource stored,
        TensorSource tensors,
        @Nullable String lossy) {
    /** The files of a model. What a GGUF file holds of config and tokenizer stands among them as files. */
    public static BlobStore files(BlobStore folder) throws IOException {
        return folder instanceof GgufStore
                        || holdsSafetensors(folder)
                        || GgufModel.files(folder).isEmpty()
                ? folder
                : GgufStore.of(folder, GgufModel.in(folder));
    }

    /** The same of one of several GGUF files in a folder. */
    public static BlobStore file(BlobStore folder, String gguf) throws IOException {
        return GgufStore.of(folder, GgufModel.of(folder, gguf));
    }

    /**
     * Reads headers only.
     *
     * @param files of {@link #files}
     * @param quantization the model's {@code quantization_config}, or null
     * @param transposed whether the family's linears stand inputs x outputs in its unquantized models
     */
    public static Source open(BlobStore files, @Nullable Map<String, Object> quantization, boolean transposed)
            throws IOException {
        if (files instanceof GgufStore gguf) {
            GgufTensors stored = new GgufTensors(gguf.model(), files);
            Packed packed = stored.packed();
            return new Source(
                    files,
                    stored,
                    new DequantizedTensors(stored, packed),
                    packed.description().isEmpty() ? null : packed.description());
        }
        Checkpoint stored = Checkpoint.open(files);
        Map<String, Object> declared = quantization == null ? QuantoMap.declared(files) : quantization;
        if (declared == null) {
            Storages.refuseUndeclared(files.location(), stored.names());
            return new Source(files, stored, stored, null);
        }
        Packed packed = Storages.read(new StoredModel(files.location(), stored, new Settings(declared), transposed));
        return new Source(files, stored, new DequantizedTensors(stored, packed), packed.description());
    }

    /** Bytes that a tensor of {@link #tensors} takes where it is stored, scales and the like included. */
    public long storedBytes(String name) {
        return tensors instanceof DequantizedTensors shown
                ? shown.storedBytes(name)
                : stored.spec(name).bytes();
    }

    /** Whether a tensor of {@link #tensors} is stored in fewer bits. */
    public boolean isPacked(String name) {
        return storedBytes(name) < tensors.spec(name).bytes();
    }

    /** The files that the tensors are in, by their names alone: what has to be there before a model can be opened. */
    public static List<String> weightFiles(BlobStore folder) throws IOException {
        if (folder instanceof GgufStore gguf) {
            return gguf.model().files();
        }
        Map<String, List<String>> models = GgufModel.files(folder);
        return holdsSafetensors(folder) || models.size() != 1
                ? Checkpoint.filesOf(folder)
                : models.values().iterator().next();
    }

    private static boolean holdsSafetensors(BlobStore folder) throws IOException {
        return folder.exists("model.safetensors") || folder.exists("model.safetensors.index.json");
    }
}
