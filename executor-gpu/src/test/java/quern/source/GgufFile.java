package quern.source;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes a GGUF file, version 3, for tests: floats as F32. */
public final class GgufFile {
    private final ByteArrayOutputStream metadata = new ByteArrayOutputStream();
    private final Map<String, float[]> tensors = new LinkedHashMap<>();
    private final Map<String, long[]> shapes = new LinkedHashMap<>();
    private int entries;

    public GgufFile put(String key, Object value) {
        text(metadata, key);
        value(value, true);
        entries++;
        return this;
    }

    /** @param shape slowest dimension first */
    public GgufFile tensor(String name, float[] values, long... shape) {
        tensors.put(name, values);
        shapes.put(name, shape);
        return this;
    }

    private void value(Object value, boolean typed) {
        if (value instanceof String text) {
            type(8, typed);
            text(metadata, text);
        } else if (value instanceof Integer number) {
            type(4, typed);
            number(metadata, number, 4);
        } else if (value instanceof Float number) {
            type(6, typed);
            number(metadata, Float.floatToIntBits(number), 4);
        } else if (value instanceof Boolean flag) {
            type(7, typed);
            metadata.write(flag ? 1 : 0);
        } else if (value instanceof List<?> list) {
            type(9, typed);
            number(metadata, list.get(0) instanceof String ? 8 : list.get(0) instanceof Float ? 6 : 4, 4);
            number(metadata, list.size(), 8);
            list.forEach(each -> value(each, false));
        } else {
            throw new AssertionError(value);
        }
    }

    private void type(int type, boolean typed) {
        if (typed) {
            number(metadata, type, 4);
        }
    }

    public byte[] bytes() {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        file.writeBytes("GGUF".getBytes(StandardCharsets.US_ASCII));
        number(file, 3, 4);
        number(file, tensors.size(), 8);
        number(file, entries, 8);
        file.writeBytes(metadata.toByteArray());
        long offset = 0;
        for (Map.Entry<String, float[]> tensor : tensors.entrySet()) {
            long[] shape = shapes.get(tensor.getKey());
            text(file, tensor.getKey());
            number(file, shape.length, 4);
            for (int d = shape.length - 1; d >= 0; d--) {
                number(file, shape[d], 8);
            }
            number(file, 0, 4);
            number(file, offset, 8);
            offset += (4L * tensor.getValue().length + 31) / 32 * 32;
        }
        pad(file);
        for (float[] values : tensors.values()) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asFloatBuffer().put(values);
            file.writeBytes(bytes.array());
            pad(file);
        }
        return file.toByteArray();
    }

    private static void pad(ByteArrayOutputStream file) {
        while (file.size() % 32 != 0) {
            file.write(0);
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
