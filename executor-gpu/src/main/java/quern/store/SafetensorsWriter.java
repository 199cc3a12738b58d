package quern.store;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import quern.tensor.TensorSpec;

/**
 * Writes a safetensors file from front to back, nothing kept but its header. Metadata come first and always say
 * {@code "format": "pt"}, which some loaders ask for; the header is padded with spaces so that the data begin at a
 * multiple of 8. Tensors stand in the order given: falling element size keeps each aligned.
 */
public final class SafetensorsWriter {
    private static final JsonFactory JSON = new JsonFactory();

    private SafetensorsWriter() {}

    /** Where the bytes come from, one tensor after the other in the order of the header. */
    @FunctionalInterface
    public interface TensorBytes {
        /** Writes exactly {@link TensorSpec#bytes()} bytes, little-endian and row-major. */
        void writeTo(TensorSpec tensor, OutputStream out) throws IOException;
    }

    /** The bytes of a tensor that is at hand as a whole. */
    @FunctionalInterface
    public interface TensorBuffer {
        ByteBuffer of(TensorSpec tensor) throws IOException;
    }

    /** Writes header and tensors; the stream stays open. */
    public static void write(
            OutputStream out, List<TensorSpec> tensors, Map<String, String> metadata, TensorBytes bytes)
            throws IOException {
        out.write(header(tensors, metadata));
        for (TensorSpec tensor : tensors) {
            Counted counted = new Counted(out);
            bytes.writeTo(tensor, counted);
            if (counted.written() != tensor.bytes()) {
                throw new IllegalStateException("Tensor '" + tensor.name() + "' has " + tensor.bytes() + " bytes, but "
                        + counted.written() + " were written");
            }
        }
    }

    /** The same from buffers; each is read from position to limit. */
    public static void writeBuffers(
            OutputStream out, List<TensorSpec> tensors, Map<String, String> metadata, TensorBuffer buffers)
            throws IOException {
        write(out, tensors, metadata, (tensor, to) -> copy(buffers.of(tensor), to));
    }

    /** Where the data begin: length field, header and padding. */
    public static long headerBytes(List<TensorSpec> tensors, Map<String, String> metadata) {
        return header(tensors, metadata).length;
    }

    /** The length field, the header and its padding. */
    static byte[] header(List<TensorSpec> tensors, Map<String, String> metadata) {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("format", "pt");
        all.putAll(metadata);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.writeBytes(new byte[8]);
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeObjectFieldStart(Safetensors.METADATA);
            for (Map.Entry<String, String> entry : all.entrySet()) {
                json.writeStringField(entry.getKey(), entry.getValue());
            }
            json.writeEndObject();
            long at = 0;
            Set<String> names = new HashSet<>(Set.of(Safetensors.METADATA));
            for (TensorSpec tensor : tensors) {
                if (!names.add(tensor.name())) {
                    throw new IllegalArgumentException("Two tensors '" + tensor.name() + "' in one file");
                }
                json.writeObjectFieldStart(tensor.name());
                json.writeStringField("dtype", tensor.dtype().name());
                json.writeArrayFieldStart("shape");
                for (long dimension : tensor.shape()) {
                    json.writeNumber(dimension);
                }
                json.writeEndArray();
                json.writeArrayFieldStart("data_offsets");
                json.writeNumber(at);
                at = Math.addExact(at, tensor.bytes());
                json.writeNumber(at);
                json.writeEndArray();
                json.writeEndObject();
            }
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        int written = bytes.size();
        byte[] header = Arrays.copyOf(bytes.toByteArray(), (written + 7) / 8 * 8);
        Arrays.fill(header, written, header.length, (byte) ' ');
        if (header.length - 8 > Safetensors.MAX_HEADER) {
            throw new IllegalArgumentException("A header of " + header.length + " bytes is longer than readers accept");
        }
        ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN).putLong(0, header.length - 8);
        return header;
    }

    /** Writes what remains of a buffer, whose position stays. */
    public static void copy(ByteBuffer buffer, OutputStream out) throws IOException {
        if (buffer.hasArray()) {
            out.write(buffer.array(), buffer.arrayOffset() + buffer.position(), buffer.remaining());
            return;
        }
        ByteBuffer rest = buffer.duplicate();
        byte[] chunk = new byte[Math.min(1 << 18, rest.remaining())];
        while (rest.hasRemaining()) {
            int n = Math.min(chunk.length, rest.remaining());
            rest.get(chunk, 0, n);
            out.write(chunk, 0, n);
        }
    }
}
