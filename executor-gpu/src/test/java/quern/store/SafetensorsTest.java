package quern.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

class SafetensorsTest {
    /** A whole file written by hand from the description of the container: two tensors, 180 bytes. */
    private static final byte[] BY_HAND = file(
            "{\"__metadata__\":{\"format\":\"pt\"},\"a.qweight\":{\"dtype\":\"I32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
                    + "\"a.scales\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[8,12]}}  ",
            HexFormat.of().parseHex("2143658777777777003c0038"));

    static byte[] file(String header, byte[] data) {
        byte[] json = header.getBytes(UTF_8);
        return ByteBuffer.allocate(8 + json.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.length)
                .put(json)
                .put(data)
                .array();
    }

    private static Safetensors read(byte[] file) throws IOException {
        return Safetensors.read(new MemoryStore().put("x.safetensors", file), "x.safetensors");
    }

    @Test
    void a_file_written_by_hand_is_read() throws IOException {
        assertThat(BY_HAND).hasSize(180);
        Safetensors header = read(BY_HAND);
        assertThat(header.metadata()).containsExactly(Map.entry("format", "pt"));
        assertThat(header.dataStart()).isEqualTo(168);
        assertThat(header.entries().keySet()).containsExactly("a.qweight", "a.scales");
        assertThat(header.entry("a.qweight").spec()).isEqualTo(TensorSpec.of("a.qweight", DType.I32, 1, 2));
        assertThat(header.entry("a.scales").begin()).isEqualTo(8);
    }

    @Test
    void the_writer_writes_the_same_file() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        List<TensorSpec> tensors =
                List.of(TensorSpec.of("a.qweight", DType.I32, 1, 2), TensorSpec.of("a.scales", DType.F16, 1, 2));
        ByteBuffer weights = ByteBuffer.wrap(HexFormat.of().parseHex("2143658777777777"));
        ByteBuffer scales = ByteBuffer.wrap(HexFormat.of().parseHex("003c0038"));
        SafetensorsWriter.writeBuffers(
                out, tensors, Map.of(), tensor -> tensor.name().equals("a.scales") ? scales : weights);
        assertThat(out.toByteArray()).isEqualTo(BY_HAND);
        assertThat(SafetensorsWriter.headerBytes(tensors, Map.of())).isEqualTo(168);
    }

    @Test
    void scalars_and_empty_tensors_are_legal() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        List<TensorSpec> tensors = List.of(
                TensorSpec.of("empty", DType.F64, 3, 0),
                TensorSpec.of("scalar", DType.F32),
                TensorSpec.of("e", DType.U8, 0));
        SafetensorsWriter.write(out, tensors, Map.of("ü", "\"\n"), (t, to) -> to.write(new byte[(int) t.bytes()]));
        Safetensors header = read(out.toByteArray());
        assertThat(header.entries().values().stream()
                        .map(Safetensors.Entry::spec)
                        .toList())
                .containsExactlyInAnyOrderElementsOf(tensors);
        assertThat(header.metadata()).isEqualTo(Map.of("format", "pt", "ü", "\"\n"));
    }

    @Test
    void the_writer_refuses_names_twice_and_wrong_amounts_of_bytes() {
        TensorSpec tensor = TensorSpec.of("t", DType.F32, 2);
        assertThatThrownBy(() -> SafetensorsWriter.headerBytes(List.of(tensor, tensor), Map.of()))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> SafetensorsWriter.write(
                        new ByteArrayOutputStream(), List.of(tensor), Map.of(), (t, to) -> to.write(new byte[7])))
                .hasMessageContaining("8 bytes")
                .hasMessageContaining("7");
    }

    /** Header with {@code '} for quotes; the file has 8 bytes of data. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "[]                                                                     | begin with '{'",
                "{'t':                                                                  | JSON is broken",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} x               | JSON is broken",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}{}               | follows the JSON",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},}                | JSON is broken",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'t':{'dtype':'F32','shape':[0],'data_offsets':[8,8]}} | twice",
                "{'t':{'dtype':'F32','dtype':'F32','shape':[2],'data_offsets':[0,8]}}   | one dtype but has two",
                "{'t':{'dtype':'F32','shape':[2]}}                                      | no data_offsets",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8],'x':1}}           | has 'x'",
                "{'t':{'dtype':'F33','shape':[2],'data_offsets':[0,8]}}                 | 'F33'",
                "{'t':{'dtype':32,'shape':[2],'data_offsets':[0,8]}}                    | dtype should be VALUE_STRING",
                "{'t':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}}                 | 12 bytes by its shape",
                "{'t':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}}                | negative",
                "{'t':{'dtype':'F32','shape':[-1,-2],'data_offsets':[0,8]}}             | negative",
                "{'t':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}}               | shape should be VALUE_NUMBER_INT",
                "{'t':{'dtype':'F32','shape':[4294967296,4294967296,2],'data_offsets':[0,8]}} | a shape that fits",
                "{'t':{'dtype':'F32','shape':[4611686018427387905],'data_offsets':[0,8]}}  | a shape that fits",
                "{'t':{'dtype':'F32','shape':[99999999999999999999],'data_offsets':[0,8]}} | JSON is broken",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[-8,0]}}                | negative",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}                 | within the 8 bytes",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8,8]}}               | two data_offsets but has 3",
                "{'t':{'dtype':'F32','shape':[4],'data_offsets':[0,16]}}                | within the 8 bytes",
                "{'t':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}                 | fill 4 bytes, but 8 follow",
                "{'t':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}}                 | its bytes at 0",
                "{'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'u':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}} | its bytes at 8",
                "{'__metadata__':{'format':1},'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} | should be VALUE_STRING",
                "{'__metadata__':[],'t':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} | __metadata__ should be START_OBJECT",
                "{}                                                                     | fill 0 bytes, but 8 follow"
            })
    void what_is_wrong_in_a_header_is_said_in_one_sentence(String header, String says) {
        assertThatThrownBy(() -> read(file(header.strip().replace('\'', '"'), new byte[8])))
                .isInstanceOf(CorruptCheckpointException.class)
                .hasMessageStartingWith("Cannot read x.safetensors: ")
                .hasMessageContaining(says.strip())
                .hasMessageEndingWith(" (download or convert the checkpoint again)")
                .message()
                .hasSizeLessThan(600);
    }

    @Test
    void wrong_lengths_are_refused_before_memory_is_taken() {
        byte[] good = BY_HAND;
        assertThatThrownBy(() -> read(new byte[7])).hasMessageContaining("7 bytes long");
        for (long length : new long[] {0, 1, -1, Long.MIN_VALUE, 100_000_001, 173, 1 << 20}) {
            byte[] file = good.clone();
            ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
            assertThatThrownBy(() -> read(file))
                    .isInstanceOf(CorruptCheckpointException.class)
                    .hasMessageContaining("its header should be");
        }
        for (int length = 8; length < good.length; length++) {
            byte[] cut = java.util.Arrays.copyOf(good, length);
            assertThatThrownBy(() -> read(cut)).isInstanceOf(CorruptCheckpointException.class);
        }
        byte[] longer = java.util.Arrays.copyOf(good, good.length + 1);
        assertThatThrownBy(() -> read(longer)).hasMessageContaining("fill 12 bytes, but 13 follow");
    }

    @Test
    void deep_json_is_refused() {
        for (String deep : List.of("{\"t\":".repeat(100_000), "{\"t\":" + "[".repeat(100_000))) {
            assertThatThrownBy(() -> read(file(deep, new byte[0]))).isInstanceOf(CorruptCheckpointException.class);
        }
    }

    @Test
    void text_that_is_not_utf_8_is_refused() {
        byte[] file = BY_HAND.clone();
        file[60] = (byte) 0xff;
        assertThatThrownBy(() -> read(file))
                .isInstanceOf(CorruptCheckpointException.class)
                .hasMessageContaining("UTF-8");
    }

    @Test
    void a_long_header_is_read_in_a_second_piece() throws IOException {
        List<TensorSpec> tensors = java.util.stream.IntStream.range(0, 2000)
                .mapToObj(i -> TensorSpec.of("model.layers." + i + ".weight", DType.BF16, i % 3))
                .toList();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        SafetensorsWriter.write(out, tensors, Map.of(), (t, to) -> to.write(new byte[(int) t.bytes()]));
        assertThat(read(out.toByteArray()).entries()).hasSize(2000);
    }
}
