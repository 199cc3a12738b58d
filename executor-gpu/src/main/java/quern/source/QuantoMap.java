package quern.source;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.store.BlobStore;

/** The file in which optimum-quanto says what it did; its configs say nothing of it. */
final class QuantoMap {
    private static final String FILE = "quanto_qmap.json";

    private QuantoMap() {}

    /** As transformers would say it in a {@code quantization_config}; null without such a file. */
    static @Nullable Map<String, Object> declared(BlobStore files) throws IOException {
        if (!files.exists(FILE)) {
            return null;
        }
        ByteBuffer bytes = files.read(FILE, 0, Math.toIntExact(files.length(FILE)));
        byte[] json = new byte[bytes.remaining()];
        bytes.get(json);
        TreeSet<String> kinds = new TreeSet<>();
        try {
            for (JsonNode module : new ObjectMapper().readTree(json)) {
                kinds.add(module.path("weights").asText().replaceFirst("^q", "").replace("float8_e4m3fn", "float8"));
            }
        } catch (JacksonException e) {
            throw new QuernException(
                    "Cannot read %s/%s: it is not JSON (download the model again)".formatted(files.location(), FILE),
                    e);
        }
        return Map.of("quant_method", "quanto", "weights", String.join(" and ", kinds));
    }
}
