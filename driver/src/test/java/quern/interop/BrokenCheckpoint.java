package quern.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import quern.tensor.DType;

/** A copy of a checkpoint in which one tensor of scales has the wrong sign. It loads everywhere without a word. */
final class BrokenCheckpoint {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static final Pattern SCALES = Pattern.compile(".*(qkv_proj|v_proj|kv_b_proj|query_key_value|c_attn)\\."
            + "(scales|scale|SCB|_?weight_scales?|weight\\._scale|weight_scale_inv|weight\\.(nested_)?absmax)"
            + "|.*experts\\.down_proj_scales");

    private BrokenCheckpoint() {}

    /** Copies {@code from} and negates the scales of a value projection, which no later normalization hides, or of what it is fused in. */
    static Path copy(Path from, Path to) throws IOException {
        Files.createDirectories(to);
        boolean negated = false;
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                byte[] bytes = Files.readAllBytes(file);
                if (!negated && file.toString().endsWith(".safetensors")) {
                    negated = negateScales(bytes);
                }
                Files.write(to.resolve(file.getFileName()), bytes);
            }
        }
        if (!negated) {
            throw new IOException("No scales of a v_proj in " + from);
        }
        return to;
    }

    private static boolean negateScales(byte[] file) {
        ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        int headerLength = Math.toIntExact(bytes.getLong(0));
        JsonNode header;
        try {
            header = JSON.readTree(file, Long.BYTES, headerLength);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        for (Map.Entry<String, JsonNode> tensor : header.properties()) {
            DType type = DType.valueOf(tensor.getValue().path("dtype").asText("U8"));
            boolean exponents = type == DType.U8 && tensor.getKey().matches(".*(\\.weight|proj)_scales?");
            if (SCALES.matcher(tensor.getKey()).matches() && (type != DType.U8 || exponents)) {
                int width = type.bytes();
                int data = Long.BYTES + headerLength;
                int begin = data + tensor.getValue().at("/data_offsets/0").asInt();
                int end = data + tensor.getValue().at("/data_offsets/1").asInt();
                for (int sign = begin + width - 1; sign < end; sign += width) {
                    file[sign] ^= (byte) (exponents ? 2 : 0x80); // powers of two have no sign
                }
                return true;
            }
        }
        return false;
    }
}
