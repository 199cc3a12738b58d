package quern.store;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import java.io.CharArrayReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/**
 * One safetensors file: its header, checked. The tensors lie in {@link #entries} in the order of their bytes.
 *
 * @param file path within the store
 * @param dataStart where the tensors' bytes begin
 * @param metadata {@code __metadata__}, empty when the file has none
 */
public record Safetensors(String file, long dataStart, Map<String, Entry> entries, Map<String, String> metadata) {
    /** Longest header that any reader accepts. */
    static final long MAX_HEADER = 100_000_000;

    static final String METADATA = "__metadata__";
    /** Read at once with the length: most headers fit, and a store may be far away. */
    private static final int FIRST_READ = 1 << 16;

    private static final JsonFactory JSON = JsonFactory.builder()
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(16)
                    .maxNumberLength(32)
                    .build())
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .build();

    /** A tensor and its bytes, from {@code begin} to {@code end} of the data. */
    public record Entry(TensorSpec spec, long begin, long end) {}

    /** Reads the header of a file and checks all of it. {@link CorruptCheckpointException} says what is wrong. */
    public static Safetensors read(BlobStore store, String file) throws IOException {
        long fileLength = store.length(file);
        if (fileLength < 8) {
            throw new CorruptCheckpointException(
                    file,
                    "a safetensors file begins with 8 bytes of header length, but it is " + fileLength + " bytes long");
        }
        ByteBuffer first = store.read(file, 0, (int) Math.min(fileLength, FIRST_READ));
        long headerLength = first.getLong(0);
        if (headerLength < 2 || headerLength > MAX_HEADER) {
            throw new CorruptCheckpointException(
                    file,
                    "its header should be 2 to " + MAX_HEADER + " bytes long, but its first 8 bytes say "
                            + Long.toUnsignedString(headerLength));
        }
        if (headerLength > fileLength - 8) {
            throw new CorruptCheckpointException(
                    file,
                    "its header should be " + headerLength + " bytes long, but only " + (fileLength - 8) + " follow");
        }
        ByteBuffer header = headerLength <= first.limit() - 8
                ? first.slice(8, (int) headerLength)
                : store.read(file, 8, (int) headerLength);
        if (header.get(0) != '{') {
            throw new CorruptCheckpointException(
                    file, "its header should begin with '{', but begins with byte " + (header.get(0) & 0xff));
        }
        return new Parse(file, fileLength - 8 - headerLength).header(header);
    }

    public Entry entry(String name) {
        Entry entry = entries.get(name);
        if (entry == null) {
            throw new NoSuchElementException("No tensor '" + name + "' in " + file);
        }
        return entry;
    }

    /** A parser over UTF-8 text that must be well-formed; for headers and indexes. */
    static JsonParser parser(String file, ByteBuffer utf8) throws IOException {
        try {
            CharBuffer text = StandardCharsets.UTF_8.newDecoder().decode(utf8);
            return JSON.createParser(new CharArrayReader(text.array(), text.arrayOffset(), text.limit()));
        } catch (CharacterCodingException e) {
            throw new CorruptCheckpointException(file, "its JSON is not UTF-8", e);
        }
    }

    static CorruptCheckpointException notJson(String file, JsonProcessingException e) {
        return new CorruptCheckpointException(
                file, "its JSON is broken: " + CorruptCheckpointException.quoted(e.getOriginalMessage()), e);
    }

    /** The state of reading one header. */
    private record Parse(String file, long dataLength) {
        Safetensors header(ByteBuffer utf8) throws IOException {
            Map<String, Entry> entries = new LinkedHashMap<>();
            Map<String, String> metadata = null;
            try (JsonParser json = parser(file, utf8)) {
                expect(json, json.nextToken(), JsonToken.START_OBJECT, "the header");
                while (json.nextToken() == JsonToken.FIELD_NAME) {
                    String name = json.currentName();
                    if (entries.containsKey(name) || name.equals(METADATA) && metadata != null) {
                        throw new CorruptCheckpointException(
                                file, "'" + CorruptCheckpointException.quoted(name) + "' is in its header twice");
                    }
                    if (name.equals(METADATA)) {
                        metadata = metadata(json);
                    } else {
                        entries.put(name, entry(json, name));
                    }
                }
                if (json.nextToken() != null) {
                    throw new CorruptCheckpointException(file, "something follows the JSON of its header");
                }
            } catch (JsonProcessingException e) {
                throw notJson(file, e);
            }
            return new Safetensors(
                    file,
                    8L + utf8.limit(),
                    tiled(entries),
                    metadata == null ? Map.of() : Collections.unmodifiableMap(metadata));
        }

        private Map<String, String> metadata(JsonParser json) throws IOException {
            Map<String, String> metadata = new LinkedHashMap<>();
            if (json.nextToken() == JsonToken.VALUE_NULL) {
                return metadata;
            }
            expect(json, json.currentToken(), JsonToken.START_OBJECT, METADATA);
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String key = json.currentName();
                expect(json, json.nextToken(), JsonToken.VALUE_STRING, METADATA + " '" + key + "'");
                if (metadata.put(key, json.getText()) != null) {
                    throw new CorruptCheckpointException(
                            file, METADATA + " has '" + CorruptCheckpointException.quoted(key) + "' twice");
                }
            }
            return metadata;
        }

        private Entry entry(JsonParser json, String name) throws IOException {
            String about = "tensor '" + name + "'";
            expect(json, json.nextToken(), JsonToken.START_OBJECT, about);
            DType dtype = null;
            List<Long> shape = null;
            List<Long> offsets = null;
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String key = json.currentName();
                json.nextToken();
                boolean repeated = switch (key) {
                    case "dtype" -> dtype != null;
                    case "shape" -> shape != null;
                    case "data_offsets" -> offsets != null;
                    default ->
                        throw CorruptCheckpointException.tensor(
                                file,
                                name,
                                "dtype, shape and data_offsets",
                                "'" + CorruptCheckpointException.quoted(key) + "'");
                };
                if (repeated) {
                    throw CorruptCheckpointException.tensor(file, name, "one " + key, "two");
                }
                switch (key) {
                    case "dtype" -> dtype = dtype(json, name);
                    case "shape" -> shape = longs(json, about + " shape");
                    default -> offsets = longs(json, about + " data_offsets");
                }
            }
            if (dtype == null || shape == null || offsets == null) {
                throw CorruptCheckpointException.tensor(
                        file,
                        name,
                        "dtype, shape and data_offsets",
                        "no " + (dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets"));
            }
            return sized(new TensorSpec(name, dtype, shape), offsets);
        }

        private DType dtype(JsonParser json, String name) throws IOException {
            expect(json, json.currentToken(), JsonToken.VALUE_STRING, "tensor '" + name + "' dtype");
            for (DType dtype : DType.values()) {
                if (dtype.name().equals(json.getText())) {
                    return dtype;
                }
            }
            throw CorruptCheckpointException.tensor(
                    file,
                    name,
                    "a dtype of " + List.of(DType.values()),
                    "'" + CorruptCheckpointException.quoted(json.getText()) + "'");
        }

        private List<Long> longs(JsonParser json, String about) throws IOException {
            expect(json, json.currentToken(), JsonToken.START_ARRAY, about);
            List<Long> values = new ArrayList<>();
            while (json.nextToken() != JsonToken.END_ARRAY) {
                expect(json, json.currentToken(), JsonToken.VALUE_NUMBER_INT, about);
                long value = json.getLongValue();
                if (value < 0) {
                    throw new CorruptCheckpointException(
                            file,
                            CorruptCheckpointException.quoted(about) + " should not be negative, but has " + value);
                }
                values.add(value);
            }
            return values;
        }

        private Entry sized(TensorSpec spec, List<Long> offsets) {
            if (offsets.size() != 2) {
                throw CorruptCheckpointException.tensor(
                        file, spec.name(), "two data_offsets", Integer.toString(offsets.size()));
            }
            long begin = offsets.get(0);
            long end = offsets.get(1);
            if (begin > end || end > dataLength) {
                throw CorruptCheckpointException.tensor(
                        file,
                        spec.name(),
                        "data_offsets within the " + dataLength + " bytes of data",
                        begin + " to " + end);
            }
            long bytes;
            try {
                bytes = spec.bytes();
            } catch (ArithmeticException e) {
                throw CorruptCheckpointException.tensor(file, spec.name(), "a shape that fits the file", shapeOf(spec));
            }
            if (bytes != end - begin) {
                throw CorruptCheckpointException.tensor(
                        file,
                        spec.name(),
                        bytes + " bytes by its shape " + shapeOf(spec) + " of " + spec.dtype(),
                        (end - begin) + " by its data_offsets");
            }
            return new Entry(spec, begin, end);
        }

        /** The entries by offset. They must cover the data without gap or overlap, or bytes hide from the reader. */
        private Map<String, Entry> tiled(Map<String, Entry> entries) {
            List<Entry> sorted = new ArrayList<>(entries.values());
            sorted.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
            Map<String, Entry> tiled = new LinkedHashMap<>();
            long at = 0;
            for (Entry entry : sorted) {
                if (entry.begin() != at) {
                    throw CorruptCheckpointException.tensor(
                            file, entry.spec().name(), "its bytes at " + at, "them at " + entry.begin());
                }
                at = entry.end();
                tiled.put(entry.spec().name(), entry);
            }
            if (at != dataLength) {
                throw new CorruptCheckpointException(
                        file, "its tensors should fill " + at + " bytes, but " + dataLength + " follow the header");
            }
            return Collections.unmodifiableMap(tiled);
        }

        private void expect(JsonParser json, @Nullable JsonToken found, JsonToken expected, String about) {
            if (found != expected) {
                throw new CorruptCheckpointException(
                        file,
                        CorruptCheckpointException.quoted(about) + " should be " + expected + " at byte "
                                + json.currentTokenLocation().getCharOffset() + ", but is "
                                + (found == null ? "the end" : found));
            }
        }

        private static String shapeOf(TensorSpec spec) {
            return CorruptCheckpointException.quoted(spec.shape().toString());
        }
    }
}
