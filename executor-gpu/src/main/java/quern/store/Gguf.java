package quern.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a GGUF file, version 2 or 3, checked; ggml's {@code docs/gguf.md} describes it.
 *
 * @param file path within the store
 * @param metadata by key: a Long, Double, Boolean, String, or a List of these; unsigned 64-bit numbers as they fit a Long
 * @param tensors by name, in the order of the file
 */
public record Gguf(String file, Map<String, Object> metadata, Map<String, Tensor> tensors) {
    private static final int MAGIC = 0x46554747;
    private static final int DEFAULT_ALIGNMENT = 32;
    private static final int MOST_DIMENSIONS = 4;
    /** Values that a byte can stand for: no type has less than a bit for each. */
    private static final int MOST_VALUES = 8;

    /**
     * @param type ggml's number for how values are stored
     * @param shape slowest dimension first, as in safetensors; the file has it the other way round
     * @param offset of its first byte in the file
     * @param room bytes from there to the end of the file
     */
    public record Tensor(String file, String name, int type, List<Long> shape, long offset, long room) {
        public Tensor {
            shape = List.copyOf(shape);
        }
    }

    /** {@link CorruptCheckpointException} says what is wrong. */
    public static Gguf read(BlobStore store, String file) throws IOException {
        return new Header(store, file).read();
    }

    private static final class Header {
        private static final int WINDOW = 1 << 20;

        private final BlobStore store;
        private final String file;
        private final long length;
        /** Where the window ends in the file. */
        private long end;

        private ByteBuffer window = ByteBuffer.allocate(0);

        Header(BlobStore store, String file) throws IOException {
            this.store = store;
            this.file = file;
            this.length = store.length(file);
        }

        Gguf read() throws IOException {
            if (integer() != MAGIC) {
                throw broken("it should begin with 'GGUF'");
            }
            int version = integer();
            if (version != 2 && version != 3) {
                throw broken("its version is " + version + ", and 2 and 3 are read");
            }
            long tensors = count();
            long entries = count();
            Map<String, Object> metadata = new LinkedHashMap<>();
            for (long i = 0; i < entries; i++) {
                String key = string();
                if (metadata.put(key, value(integer())) != null) {
                    throw broken("its metadata has '" + CorruptCheckpointException.quoted(key) + "' twice");
                }
            }
            List<Tensor> infos = new ArrayList<>();
            for (long i = 0; i < tensors; i++) {
                infos.add(info());
            }
            long alignment = metadata.get("general.alignment") instanceof Long given ? given : DEFAULT_ALIGNMENT;
            if (alignment < 1 || alignment > 1 << 20) {
                throw broken("its general.alignment is " + alignment);
            }
            long data = (position() + alignment - 1) / alignment * alignment;
            Map<String, Tensor> placed = new LinkedHashMap<>();
            for (Tensor info : infos) {
                long offset = data + info.offset();
                Tensor tensor = new Tensor(file, info.name(), info.type(), info.shape(), offset, length - offset);
                if (offset < data || offset > length || placed.put(info.name(), tensor) != null) {
                    throw broken("its tensor '" + CorruptCheckpointException.quoted(info.name())
                            + "' is there twice or beyond its end");
                }
            }
            return new Gguf(file, Collections.unmodifiableMap(metadata), Collections.unmodifiableMap(placed));
        }

        private Tensor info() throws IOException {
            String name = string();
            int dimensions = integer();
            if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
                throw broken("a tensor of it has " + dimensions + " dimensions");
            }
            List<Long> shape = new ArrayList<>();
            long values = 1;
            for (int d = 0; d < dimensions; d++) {
                long size = wide();
                if (size < 1 || size > Integer.MAX_VALUE || values > MOST_VALUES * length / size) {
                    throw broken("a tensor of it has a dimension of " + size);
                }
                values *= size;
                shape.add(0, size);
            }
            int type = integer();
            return new Tensor(file, name, type, shape, wide(), 0);
        }

        private Object value(int type) throws IOException {
            return switch (type) {
                case 0 -> (long) (need(1).get() & 0xff);
                case 1 -> (long) need(1).get();
                case 2 -> (long) (need(2).getShort() & 0xffff);
                case 3 -> (long) need(2).getShort();
                case 4 -> integer() & 0xffffffffL;
                case 5 -> (long) integer();
                case 6 -> Double.valueOf(Float.toString(need(4).getFloat())); // as it was written, in decimal
                case 7 -> need(1).get() != 0;
                case 8 -> string();
                case 9 -> array();
                case 10, 11 -> wide();
                case 12 -> need(8).getDouble();
                default -> throw broken("a value of its metadata has type " + type);
            };
        }

        private List<Object> array() throws IOException {
            int type = integer();
            if (type == 9) {
                throw broken("its metadata has an array of arrays");
            }
            long count = count();
            List<Object> values = new ArrayList<>();
            for (long i = 0; i < count; i++) {
                values.add(value(type));
            }
            return Collections.unmodifiableList(values);
        }

        private String string() throws IOException {
            int bytes = (int) Math.min(count(), Integer.MAX_VALUE - 8);
            byte[] text = new byte[bytes];
            need(bytes).get(text);
            return new String(text, StandardCharsets.UTF_8);
        }

        /** A number of things that are each at least a byte long. */
        private long count() throws IOException {
            long count = wide();
            if (count < 0 || count > length - position()) {
                throw broken("it says that " + Long.toUnsignedString(count) + " things follow where "
                        + (length - position()) + " bytes do");
            }
            return count;
        }

        private int integer() throws IOException {
            return need(4).getInt();
        }

        private long wide() throws IOException {
            return need(8).getLong();
        }

        private long position() {
            return end - window.remaining();
        }

        private ByteBuffer need(int bytes) throws IOException {
            if (window.remaining() < bytes) {
                long at = position();
                if (bytes > length - at) {
                    throw broken("it ends within its header");
                }
                int read = (int) Math.min(Math.max(bytes, WINDOW), length - at);
                window = store.read(file, at, read);
                end = at + read;
            }
            return window;
        }

        private CorruptCheckpointException broken(String reason) {
            return new CorruptCheckpointException(file, reason);
        }
    }
}
