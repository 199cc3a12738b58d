package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.method.Method;
import quern.method.Methods;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Words that were worked out by hand from the formats' definitions. */
class GoldenWordsTest {
    private static final String P = "p";

    @Test
    void four_bits() {
        assertThat(packed(4, 1, 2, 3, 4, 5, 6, 7, 8)).containsExactly(0x87654321);
        assertThat(packed(4, 0, 15, 7, 8, 3, 12, 10, 5)).containsExactly(0x5AC387F0);
    }

    @Test
    void two_bits() {
        assertThat(packed(2, 0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 2, 2, 3, 3, 0, 0)).containsExactly(0x0FA51BE4);
    }

    @Test
    void eight_bits() {
        assertThat(packed(8, 0, 127, 128, 255)).containsExactly(0xFF807F00);
    }

    @Test
    void three_bits_cross_words() {
        assertThat(packed(3, range(i -> i % 8))).containsExactly(0x88FAC688, 0xC688FAC6, 0xFAC688FA);
        assertThat(packed(3, range(i -> (5 * i + 3) % 8))).containsExactly(0x43C67543, 0x7543C675, 0xC67543C6);
        assertThat(packed(3, 0, 1, 2, 3, 4, 5, 6, 7, 0, 3, 7, 4)).containsExactly(0xD8FAC688, 0x00000009);
    }

    @Test
    void symmetric_zeros_of_both_gptq_formats() {
        int[][] v1 = {{0x55555555}, {0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D}, {0x77777777}, {0x7F7F7F7F}};
        int[][] v2 = {{0xAAAAAAAA}, {0x24924924, 0x49249249, 0x92492492}, {0x88888888}, {0x80808080}};
        int[] widths = {2, 3, 4, 8};
        for (int w = 0; w < widths.length; w++) {
            Scheme scheme = new Scheme(widths[w], -1, true, false, ColumnOrder.OFF, DType.F16);
            QuantizedLinear q = constant(scheme, range(i -> scheme.middle()));
            PackedTensors one = PackedTensors.of(Formats.named("gptq"), P, q);
            PackedTensors two = PackedTensors.of(Formats.named("gptq_v2"), P, q);
            for (int i = 0; i < v1[w].length; i++) {
                assertThat(one.word("p.qzeros", i)).isEqualTo(v1[w][i]);
                assertThat(two.word("p.qzeros", i)).isEqualTo(v2[w][i]);
            }
        }
    }

    @Test
    void asymmetric_zeros_of_both_gptq_formats() {
        int[] zeros = Arrays.copyOf(new int[] {8, 7, 9, 1, 15, 8, 8, 2}, 32);
        Arrays.fill(zeros, 8, 32, 5);
        QuantizedLinear q = constant(new Scheme(4, -1, false, false, ColumnOrder.OFF, DType.F16), zeros);

        assertThat(PackedTensors.of(Formats.named("gptq"), P, q).word("p.qzeros", 0))
                .isEqualTo(0x177E0867);
        assertThat(PackedTensors.of(Formats.named("gptq_v2"), P, q).word("p.qzeros", 0))
                .isEqualTo(0x288F1978);
    }

    @Test
    void a_zero_of_zero_is_never_written_in_v1() {
        int[] zeros = new int[32];
        QuantizedLinear q = constant(new Scheme(4, -1, false, false, ColumnOrder.OFF, DType.F16), zeros);

        assertThatThrownBy(() -> Formats.named("gptq").pack(q)).isInstanceOf(IllegalArgumentException.class);
        assertThat(PackedTensors.of(Formats.named("gptq_v2"), P, q).word("p.qzeros", 0))
                .isZero();
    }

    @Test
    void zeros_of_compressed_tensors_run_down_the_outputs() {
        int[] zeros = {0, 8, 11, 15, 7, 10, 3, 9};
        QuantizedLinear q = constant(new Scheme(4, -1, false, false, ColumnOrder.OFF, DType.F16), zeros);

        PackedTensors packed = PackedTensors.of(Formats.named("compressed-tensors"), P, q);

        assertThat(packed.word("p.weight_zero_point", 0)).isEqualTo(0x93A7FB80);
        assertThat(packed.spec("p.weight_zero_point").shape()).containsExactly(1L, 1L);
    }

    @Test
    void rows_of_compressed_tensors_are_columns_of_gptq() {
        Scheme scheme = new Scheme(4, 32, true, false, ColumnOrder.OFF, DType.F16);
        QuantizedLinear q = FormatContractTest.random(scheme, 32, 64, Seeds.random());
        PackedTensors gptq = PackedTensors.of(Formats.named("gptq"), P, q);
        PackedTensors ct = PackedTensors.of(Formats.named("compressed-tensors"), P, q);
        for (int n = 0; n < 32; n++) {
            for (int w = 0; w < 8; w++) {
                assertThat(gptq.word("p.qweight", w * 32 + n)).isEqualTo(ct.word("p.weight_packed", n * 8 + w));
            }
        }
    }

    @Test
    void kept_linears_are_named_for_every_loader() {
        Scheme scheme = new Scheme(4, 128, false, false, ColumnOrder.STATIC, DType.F16);
        String a = "model.layers.0.self_attn.";
        String b = "model.layers.1.self_attn.";
        List<String> kept = List.of(a + "q_proj", a + "k_proj", a + "v_proj", a + "o_proj", b + "o_proj");
        List<String> quantized = List.of(
                b + "q_proj", b + "k_proj", b + "v_proj", "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj");

        Map<String, Object> gptq =
                Formats.named("gptq").quantizationConfig(Recipe.DEFAULT, Schemes.all(scheme), quantized, kept);

        assertThat(((Map<?, ?>) gptq.get("dynamic")).keySet())
                .extracting(Object::toString)
                .contains(
                        "-:^model\\.layers\\.0\\.self_attn\\.qkv_proj$", "-:^model\\.layers\\.1\\.self_attn\\.o_proj$")
                .hasSize(6);
        assertThat(gptq.get("modules_in_block_to_quantize"))
                .isEqualTo(List.of(List.of("mlp.up_proj", b + "k_proj", b + "q_proj", b + "v_proj")));
        assertThat(((Map<?, ?>) gptq.get("meta")).get("quantizer"))
                .as("GPTQModel refuses asymmetric v1 of anybody else")
                .isEqualTo(List.of("quern:0.1.0", "gptqmodel:0.9.0"));
        assertThat(Formats.named("compressed-tensors")
                        .quantizationConfig(Recipe.DEFAULT, Schemes.all(scheme), quantized, kept)
                        .get("ignore"))
                .isEqualTo(List.of("lm_head", a + "q_proj", a + "k_proj", a + "v_proj", a + "o_proj", b + "o_proj"));
    }

    private static int[] range(IntUnaryOperator code) {
        return IntStream.range(0, 32).map(code).toArray();
    }

    private static int[] packed(int bits, int... codes) {
        byte[] bytes = new byte[codes.length];
        for (int i = 0; i < codes.length; i++) {
            bytes[i] = (byte) codes[i];
        }
        var words = BitPacking.packRows(bytes, 1, codes.length, bits).asIntBuffer();
        int[] out = new int[words.remaining()];
        words.get(out);
        return out;
    }

    /** The example of a group of 16 whose largest weight is 1.5, in a tensor whose largest is 3. */
    @Test
    void nvfp4_is_a_group_scale_within_a_tensor_scale() {
        float[] weights = new float[32];
        float[] example = {
            .10f, -.20f, .30f, .05f, -.60f, .45f, 0, .25f, -.12f, .75f, -.33f, .5f, .08f, -.9f, 1.2f, -1.5f
        };
        System.arraycopy(example, 0, weights, 0, 16);
        weights[20] = 3;
        Format format = Formats.named("compressed-tensors-nvfp4");
        Recipe recipe = format.settled(Recipe.OPEN
                .edit()
                .method("rtn")
                .format("")
                .bits(4)
                .groupSize(16)
                .actOrder(ColumnOrder.OFF)
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .recipe());
        QuantizedLinear q;
        try (Device device = Devices.open("java");
                Method.Solver solver = Methods.named("rtn").solver(recipe, null, device)) {
            q = solver.quantize("p", new Matrix(1, 32, weights), format.scheme(recipe, DType.BF16))
                    .quantized();
        }
        List<ByteBuffer> packed = format.pack(q);
        assertThat(hex(packed.get(0))).startsWith("a1024c20594be1f6");
        assertThat(hex(packed.get(1))).isEqualTo("767e");
        assertThat(packed.get(2).getFloat(0)).isEqualTo(896);
    }

    private static String hex(ByteBuffer bytes) {
        byte[] all = new byte[bytes.remaining()];
        bytes.duplicate().get(all);
        return HexFormat.of().formatHex(all);
    }

    /** One group, codes zero, a zero point for each output. */
    private static QuantizedLinear constant(Scheme scheme, int[] zeros) {
        int outputs = zeros.length;
        float[] values = new float[outputs];
        float[] scales = new float[outputs];
        Arrays.fill(scales, 1);
        for (int i = 0; i < outputs; i++) {
            values[i] = zeros[i];
        }
        return new QuantizedLinear(scheme, outputs, 32, new byte[outputs * 32], scales, values, new int[32]);
    }
}
