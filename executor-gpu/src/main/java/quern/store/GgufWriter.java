package quern.store;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Writes a GGUF file, version 3: header, metadata, where each tensor lies, then their bytes, each begun at a multiple of 32.
 * {@link Gguf} reads it again.
 */
public final class GgufWriter {
    private static final int ALIGNMENT = 32;

    private GgufWriter() {}

    /**
     * @param type ggml's number for how values are stored
     * @param shape slowest dimension first
     * @param bytes that it takes
     */
    public record Tensor(String name, int type, List<Long> shape, long bytes) {
        /** What readers have room for, less the end of a C string. */
        private static final int LONGEST_NAME = 63;

        public Tensor {
            shape = List.copyOf(shape);
            if (name.getBytes(StandardCharsets.UTF_8).length > LONGEST_NAME) {
                throw new IllegalArgumentException("The name " + name + " is too long for GGUF");
            }
        }
    }

    /** Gives the bytes of a tensor. */
    @FunctionalInterface
    public interface TensorBytes {
        void write(Tensor tensor, OutputStream out) throws IOException;
    }

    /**
     * @param metadata by key: Integer (as unsigned 32 bits), Float, Boolean, String, or a list: of Integers (with their sign), Floats or
     *     Strings
     * @param bytes writes exactly the bytes of each tensor
     */
    public static void write(OutputStream out, Map<String, Object> metadata, List<Tensor> tensors, TensorBytes bytes)
            throws IOException {
        byte[] header = header(metadata, tensors);
        out.write(header);
        for (Tensor tensor : tensors) {
            Counted counted = new Counted(out);
            bytes.write(tensor, counted);
            if (counted.written() != tensor.bytes()) {
                throw new IllegalStateException(tensor.name() + " has " + tensor.bytes() + " bytes, and "
                        + counted.written() + " were written");
            }
            out.write(new byte[(int) (padded(tensor.bytes()) - tensor.bytes())]);
        }
    }

    private static byte[] header(Map<String, Object> metadata, List<Tensor> tensors) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes("GGUF".getBytes(StandardCharsets.US_ASCII));
        number(out, 3, 4);
        number(out, tensors.size(), 8);
        number(out, metadata.size(), 8);
        metadata.forEach((key, value) -> {
            text(out, key);
            number(out, value instanceof List ? 9 : type(value), 4);
            value(out, value);
        });
        long offset = 0;
        for (Tensor tensor : tensors) {
            text(out, tensor.name());
            number(out, tensor.shape().size(), 4);
            for (int d = tensor.shape().size() - 1; d >= 0; d--) {
                number(out, tensor.shape().get(d), 8);
            }
            number(out, tensor.type(), 4);
            number(out, offset, 8);
            offset += padded(tensor.bytes());
        }
        out.writeBytes(new byte[(int) (padded(out.size()) - out.size())]);
        return out.toByteArray();
    }

    private static long padded(long bytes) {
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    private static int type(Object value) {
        if (value instanceof Integer) {
            return 4;
        } else if (value instanceof Float) {
            return 6;
        } else if (value instanceof Boolean) {
            return 7;
        } else if (value instanceof String) {
            return 8;
        }
        throw new IllegalArgumentException("GGUF has no type for " + value);
    }

    private static void value(ByteArrayOutputStream out, Object value) {
        if (value instanceof List<?> list) {
            Object first = list.isEmpty() ? "" : list.get(0);
            number(out, first instanceof Integer ? 5 : type(first), 4); // integers of lists have a sign
            number(out, list.size(), 8);
            list.forEach(each -> value(out, each));
        } else if (value instanceof Integer number) {
            number(out, number, 4);
        } else if (value instanceof Float number) {
            number(out, Float.floatToRawIntBits(number), 4);
        } else if (value instanceof Boolean flag) {
            out.write(flag ? 1 : 0);
        } else {
            text(out, (String) value);
        }
    }

    private static void text(ByteArrayOutputStream out, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        number(out, utf8.length, 8);
        out.writeBytes(utf8);
    }

    private static void number(ByteArrayOutputStream out, long value, int bytes) {
        for (int i = 0; i < bytes; i++) {
            out.write((int) (value >>> 8 * i));
        }
    }
}
