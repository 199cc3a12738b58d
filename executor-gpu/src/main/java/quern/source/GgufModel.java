package quern.source;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.gguf.GgufFamily;
import quern.store.BlobStore;
import quern.store.Gguf;

/**
 * What the headers of a model's GGUF files say.
 *
 * @param files the first holds the metadata
 * @param metadata its metadata
 * @param tensors those of all files
 */
record GgufModel(
        List<String> files, GgufFamily family, Map<String, Object> metadata, Map<String, Gguf.Tensor> tensors) {
    private static final Pattern SHARD = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");

    /** The one in a folder. {@link QuernException} where there are several. */
    static GgufModel in(BlobStore store) throws IOException {
        Map<String, List<String>> models = files(store);
        if (models.size() != 1) {
            throw new QuernException("Cannot choose a model in " + store.location() + ": it holds " + models.size()
                    + " GGUF files, " + String.join(", ", models.keySet())
                    + " (name one of them, with its folder before it)");
        }
        return read(store, models.values().iterator().next());
    }

    /** The model of a file, or of a shard of it. */
    static GgufModel of(BlobStore store, String file) throws IOException {
        return read(
                store,
                files(store).values().stream()
                        .filter(files -> files.contains(file))
                        .findFirst()
                        .orElseThrow(() -> new NoSuchFileException(file)));
    }

    private static GgufModel read(BlobStore store, List<String> files) throws IOException {
        Gguf first = Gguf.read(store, files.get(0));
        Map<String, Gguf.Tensor> tensors = new LinkedHashMap<>(first.tensors());
        for (String file : files.subList(1, files.size())) {
            tensors.putAll(Gguf.read(store, file).tensors());
        }
        return new GgufModel(files, family(first), first.metadata(), tensors);
    }

    /** The files of a folder, shards of one model together, in order. */
    static Map<String, List<String>> files(BlobStore store) throws IOException {
        Map<String, List<String>> models = new TreeMap<>();
        for (String file : store.list("")) {
            if (file.endsWith(".gguf") && !file.contains("/")) {
                Matcher shard = SHARD.matcher(file);
                String model = shard.matches() ? shard.group(1) + "-00001-of-" + shard.group(3) + ".gguf" : file;
                models.computeIfAbsent(model, first -> new ArrayList<>()).add(file); // the list is sorted
            }
        }
        return models;
    }

    private static GgufFamily family(Gguf file) {
        Object architecture = file.metadata().get("general.architecture");
        GgufFamily family = GgufFamily.read(
                String.valueOf(architecture), file.metadata().get(architecture + ".expert_count") instanceof Long);
        if (family == null) {
            throw new QuernException("Cannot open the model " + file.file() + ": its architecture is "
                    + StoredModel.shown(architecture) + ", and GGUF files are read of "
                    + String.join(", ", GgufFamily.architectures())
                    + " (use the original model)");
        }
        return family;
    }

    /** For messages. */
    String file() {
        return files.get(0);
    }

    /** A key of the architecture's own: {@code llama.block_count} for {@code block_count}. */
    @Nullable
    Object own(String key) {
        return metadata.get(metadata.get("general.architecture") + "." + key);
    }

    /** Null where it is absent. */
    @Nullable
    Long number(String key) {
        return own(key) instanceof Long number ? number : null;
    }

    long needed(String key) {
        Long number = number(key);
        if (number == null || number < 1 || number > Integer.MAX_VALUE) {
            throw new QuernException("Cannot open the model " + file() + ": its " + key + " is "
                    + StoredModel.shown(own(key)) + " (put the model's config.json beside it)");
        }
        return number;
    }

    /** Columns of a head. */
    int headDim() {
        Long given = number("attention.key_length");
        return (int) (given == null ? needed("embedding_length") / needed("attention.head_count") : given);
    }
}
