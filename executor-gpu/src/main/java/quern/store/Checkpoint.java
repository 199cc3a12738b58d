package quern.store;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeSet;
import quern.QuernException;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * The safetensors files of a model: {@code model.safetensors}, or the shards that {@code model.safetensors.index.json}
 * names. All headers are read and checked on opening; tensors are read by ranges when asked for. Safe for many threads.
 */
public final class Checkpoint implements TensorSource {
    private static final String SINGLE = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final long MAX_INDEX = 100_000_000;

    private final BlobStore store;
    private final List<String> files;
    /** By name: which file, and where in it. In the order of files and of bytes within them. */
    private final Map<String, Place> places;

    private record Place(Safetensors file, Safetensors.Entry entry) {
        /** Where its bytes begin in the file. */
        long start() {
            return file.dataStart() + entry.begin();
        }
    }

    private Checkpoint(BlobStore store, List<String> files, Map<String, Place> places) {
        this.store = store;
        this.files = List.copyOf(files);
        this.places = Collections.unmodifiableMap(places);
    }

    /** {@link QuernException} where there is no checkpoint, {@link CorruptCheckpointException} where it is broken. */
    public static Checkpoint open(BlobStore store) throws IOException {
        if (store.exists(SINGLE)) {
            return new Checkpoint(store, List.of(SINGLE), places(List.of(Safetensors.read(store, SINGLE))));
        }
        if (store.exists(INDEX)) {
            return sharded(store);
        }
        throw nothingToRead(store);
    }

    /** One safetensors file by itself, whatever its name. */
    public static Checkpoint file(BlobStore store, String file) throws IOException {
        return new Checkpoint(store, List.of(file), places(List.of(Safetensors.read(store, file))));
    }

    /** The safetensors files, sorted. */
    public List<String> files() {
        return files;
    }

    /** The file that a tensor is in. */
    public String fileOf(String name) {
        return place(name).file().file();
    }

    @Override
    public Set<String> names() {
        return places.keySet();
    }

    @Override
    public TensorSpec spec(String name) {
        return place(name).entry().spec();
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        long bytes = spec(name).bytes();
        if (bytes > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "Tensor '" + name + "' has " + bytes + " bytes, more than one buffer holds: read it in ranges");
        }
        return read(name, 0, (int) bytes);
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        Place place = within(name, offset, length);
        if (length == 0) {
            return ByteBuffer.allocateDirect(0).order(ByteOrder.LITTLE_ENDIAN);
        }
        return store.read(place.file().file(), place.start() + offset, length);
    }

    @Override
    public void read(String name, long offset, ByteBuffer into) throws IOException {
        Place place = within(name, offset, into.remaining());
        store.read(place.file().file(), place.start() + offset, into);
    }

    private Place within(String name, long offset, int length) {
        Place place = place(name);
        long bytes = place.entry().end() - place.entry().begin();
        if (offset < 0 || length < 0 || offset > bytes - length) {
            throw new IndexOutOfBoundsException(
                    length + " bytes from " + offset + " of the " + bytes + " of tensor '" + name + "'");
        }
        return place;
    }

    private Place place(String name) {
        Place place = places.get(name);
        if (place == null) {
            throw new NoSuchElementException("No tensor '" + name + "' in " + store.location());
        }
        return place;
    }

    /**
     * The files that make up the checkpoint by its names and its index alone: what has to be there before
     * {@link #open} can succeed. Reads no header; refuses as {@link #open} does.
     */
    public static List<String> filesOf(BlobStore store) throws IOException {
        if (store.exists(SINGLE)) {
            return List.of(SINGLE);
        }
        if (store.exists(INDEX)) {
            return List.copyOf(new TreeSet<>(index(store).values()));
        }
        throw nothingToRead(store);
    }

    private static Checkpoint sharded(BlobStore store) throws IOException {
        Map<String, String> index = index(store);
        List<Safetensors> shards = new ArrayList<>();
        for (String file : new TreeSet<>(index.values())) {
            try {
                shards.add(Safetensors.read(store, file));
            } catch (NoSuchFileException e) {
                throw new CorruptCheckpointException(
                        INDEX,
                        "the shard '" + CorruptCheckpointException.quoted(file) + "' that it names is missing",
                        e);
            }
        }
        Map<String, Place> places = places(shards);
        for (Map.Entry<String, String> named : index.entrySet()) {
            Place place = places.get(named.getKey());
            if (place == null || !place.file().file().equals(named.getValue())) {
                throw CorruptCheckpointException.tensor(
                        INDEX,
                        named.getKey(),
                        "its bytes in " + CorruptCheckpointException.quoted(named.getValue()),
                        place == null ? "none there" : "them in " + place.file().file());
            }
        }
        for (Map.Entry<String, Place> found : places.entrySet()) {
            if (!index.containsKey(found.getKey())) {
                throw CorruptCheckpointException.tensor(
                        INDEX,
                        found.getKey(),
                        "a line in the index, being in "
                                + found.getValue().file().file(),
                        "none");
            }
        }
        return new Checkpoint(store, shards.stream().map(Safetensors::file).toList(), places);
    }

    private static Map<String, Place> places(List<Safetensors> shards) {
        Map<String, Place> places = new LinkedHashMap<>();
        for (Safetensors shard : shards) {
            for (Map.Entry<String, Safetensors.Entry> entry : shard.entries().entrySet()) {
                Place other = places.put(entry.getKey(), new Place(shard, entry.getValue()));
                if (other != null) {
                    throw CorruptCheckpointException.tensor(
                            shard.file(),
                            entry.getKey(),
                            "one shard",
                            "two, also " + other.file().file());
                }
            }
        }
        return places;
    }

    /** {@code weight_map}: tensor to file. */
    private static Map<String, String> index(BlobStore store) throws IOException {
        long length = store.length(INDEX);
        if (length > MAX_INDEX) {
            throw new CorruptCheckpointException(
                    INDEX, "an index should be at most " + MAX_INDEX + " bytes long, but is " + length);
        }
        Map<String, String> weightMap = null;
        try (JsonParser json = Safetensors.parser(INDEX, store.read(INDEX, 0, (int) length))) {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw new CorruptCheckpointException(INDEX, "it should be a JSON object");
            }
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                boolean isMap = json.currentName().equals("weight_map");
                json.nextToken();
                if (isMap && weightMap != null) {
                    throw new CorruptCheckpointException(INDEX, "it has two 'weight_map's");
                } else if (isMap) {
                    weightMap = weightMap(json);
                } else {
                    json.skipChildren();
                }
            }
            if (json.nextToken() != null) {
                throw new CorruptCheckpointException(INDEX, "something follows its JSON");
            }
        } catch (JsonProcessingException e) {
            throw Safetensors.notJson(INDEX, e);
        }
        if (weightMap == null || weightMap.isEmpty()) {
            throw new CorruptCheckpointException(INDEX, "it should name the tensors in 'weight_map', but names none");
        }
        return weightMap;
    }

    private static Map<String, String> weightMap(JsonParser json) throws IOException {
        if (json.currentToken() != JsonToken.START_OBJECT) {
            throw new CorruptCheckpointException(INDEX, "'weight_map' should be a JSON object");
        }
        Map<String, String> weightMap = new LinkedHashMap<>();
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String tensor = json.currentName();
            String file = json.nextToken() == JsonToken.VALUE_STRING ? json.getText() : "";
            if (!BlobPaths.isSafe(file) || !file.endsWith(".safetensors")) {
                throw CorruptCheckpointException.tensor(
                        INDEX,
                        tensor,
                        "a safetensors file below the checkpoint's folder",
                        "'" + CorruptCheckpointException.quoted(file) + "'");
            }
            if (weightMap.put(tensor, file) != null) {
                throw CorruptCheckpointException.tensor(INDEX, tensor, "one line in the index", "two");
            }
        }
        return weightMap;
    }

    private static QuernException nothingToRead(BlobStore store) throws IOException {
        List<String> files =
                store.list("").stream().filter(file -> !file.contains("/")).toList();
        String found = "it holds neither " + SINGLE + " nor " + INDEX;
        for (String file : files) {
            if (file.endsWith(".safetensors")) {
                return cannot(store, found + ", only " + file, "name the folder of a whole model, with its index");
            }
        }
        for (String file : files) {
            if (file.endsWith(".gguf")) {
                return cannot(store, found + ", only " + file, "name that file, or a folder that holds it alone");
            }
            if (file.endsWith(".bin") || file.endsWith(".pt") || file.endsWith(".pth")) {
                return cannot(
                        store,
                        found + ", only " + file,
                        "load it in transformers and save_pretrained it again, which writes safetensors");
            }
        }
        return cannot(store, files.isEmpty() ? "there is no file in it" : found, "name the folder of a model");
    }

    private static QuernException cannot(BlobStore store, String reason, String remedy) {
        return new QuernException(
                "Cannot open the checkpoint " + store.location() + ": " + reason + " (" + remedy + ")");
    }
}
