package quern.source;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import quern.store.BlobStore;

/**
 * A folder with a GGUF file, in which {@code config.json} and the tokenizer's files are made of its metadata, where they do not lie there:
 * what the model's makers wrote tells more than what was made of it.
 */
final class GgufStore implements BlobStore {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final BlobStore folder;
    private final GgufModel model;
    private final Map<String, byte[]> made = new LinkedHashMap<>();

    private GgufStore(BlobStore folder, GgufModel model) {
        this.folder = folder;
        this.model = model;
    }

    /** Makes the files of a model in a folder. */
    static GgufStore of(BlobStore folder, GgufModel model) throws IOException {
        GgufStore store = new GgufStore(folder, model);
        if (!folder.exists("config.json")) {
            store.put("config.json", GgufConfig.of(model, folder));
        }
        if (!folder.exists("tokenizer.json")) {
            for (Map.Entry<String, JsonNode> file : GgufTokenizer.files(model).entrySet()) {
                store.put(file.getKey(), file.getValue());
            }
        }
        return store;
    }

    private void put(String file, JsonNode content) throws IOException {
        made.put(file, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(content));
    }

    GgufModel model() {
        return model;
    }

    @Override
    public String location() {
        return folder.location() + "/" + model.file();
    }

    @Override
    public boolean exists(String path) throws IOException {
        return made.containsKey(path) || folder.exists(path);
    }

    @Override
    public long length(String path) throws IOException {
        byte[] content = made.get(path);
        return content == null ? folder.length(path) : content.length;
    }

    @Override
    public ByteBuffer read(String path, long offset, int length) throws IOException {
        byte[] content = made.get(path);
        if (content == null) {
            return folder.read(path, offset, length);
        }
        if (offset < 0 || length < 0 || offset > content.length - length) {
            throw new EOFException(path);
        }
        return ByteBuffer.allocateDirect(length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(content, (int) offset, length)
                .flip();
    }

    /** Of a file that lies in the folder: what is made of metadata is read by ranges. */
    @Override
    public SeekableByteChannel open(String path) throws IOException {
        return folder.open(path);
    }

    @Override
    public List<String> list(String prefix) throws IOException {
        TreeSet<String> files = new TreeSet<>(folder.list(prefix));
        made.keySet().stream().filter(file -> file.startsWith(prefix)).forEach(files::add);
        return List.copyOf(files);
    }

    @Override
    public void write(String path, Body body) throws IOException {
        folder.write(path, body);
    }

    @Override
    public void delete(String prefix) throws IOException {
        folder.delete(prefix);
    }
}
