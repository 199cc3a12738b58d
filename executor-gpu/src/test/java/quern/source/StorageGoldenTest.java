package quern.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.QuernException;
import quern.Seeds;
import quern.format.Settings;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;

/** Bytes worked out by hand from the descriptions of the layouts, and naive formulas over random ones. */
class StorageGoldenTest {
    @Test
    void awq_interleaves_the_outputs_of_a_word() throws IOException {
        // Codes 1 to 8 of outputs 0 to 7, then 0 to 7; zeros of 8 everywhere.
        MapTensors stored = new MapTensors()
                .ints("p.qweight", 2, 1, 0x86427531, 0x75316420)
                .ints("p.qzeros", 1, 1, 0x88888888)
                .floats("p.scales", 1, 8, 1, 2, 1, 1, 1, 1, 1, 0.5f);

        TensorSource tensors =
                dequantized(stored, Map.of("quant_method", "awq", "version", "GEMM", "bits", 4, "group_size", 2));

        assertThat(tensors.names()).containsExactly("p.weight");
        assertThat(tensors.spec("p.weight").shape()).containsExactly(8L, 2L);
        assertThat(floats(tensors, "p.weight"))
                .containsExactly(-7, -8, -12, -14, -5, -6, -4, -5, -3, -4, -2, -3, -1, -2, 0, -0.5f);
    }

    @Test
    void a_block_of_fp8_is_multiplied_by_its_scale_and_ragged_blocks_are_cut() throws IOException {
        // 0x6e is 112, 0xfe is -448, 0x38 is 1.
        byte[] codes = {0x6e, (byte) 0xfe, 0x38, 0x38, 0x38, 0x38, 0x38, 0x38, 0x38};
        MapTensors stored = new MapTensors()
                .put("p.weight", DType.F8_E4M3, codes, 3, 3)
                .floats("p.weight_scale_inv", 2, 2, 0.00125f, 2, 4, 8)
                .floats("p.activation_scale", 1, 1, 3)
                .floats("p.bias", 1, 3, 1, 2, 3);

        TensorSource tensors = dequantized(stored, Map.of("quant_method", "fp8", "weight_block_size", List.of(2, 2)));

        assertThat(tensors.names()).containsExactlyInAnyOrder("p.weight", "p.bias");
        assertThat(floats(tensors, "p.weight")).containsExactly(0.14f, -0.56f, 2, 0.00125f, 0.00125f, 2, 4, 4, 8);
    }

    @Test
    void integers_of_a_byte_have_zeros() throws IOException {
        MapTensors stored = new MapTensors()
                .put("p.weight", DType.I8, new byte[] {-128, 0, 127, 1}, 2, 2)
                .floats("p.weight_scale", 2, 1, 0.5f, 2)
                .put("p.weight_zero_point", DType.I8, new byte[] {-28, 7}, 2, 1);

        TensorSource tensors = dequantized(stored, compressedTensors("int-quantized"));

        assertThat(tensors.names()).containsExactly("p.weight");
        assertThat(floats(tensors, "p.weight")).containsExactly(-50, 14, 240, -12);
    }

    @Test
    void nvfp4_divides_its_scales_by_the_global_one() throws IOException {
        // 0.1 -0.2 0.3 0.05 -0.6 0.45 0 0.25 -0.12 0.75 -0.33 0.5 0.08 -0.9 1.2 -1.5 in steps of a quarter
        byte[] codes = {(byte) 0xa1, 0x02, 0x4c, 0x20, 0x59, 0x4b, (byte) 0xe1, (byte) 0xf6};
        MapTensors stored = new MapTensors()
                .put("p.weight_packed", DType.U8, codes, 1, 8)
                .put("p.weight_scale", DType.F8_E4M3, new byte[] {0x76}, 1, 1)
                .put("p.weight_global_scale", DType.F32, new byte[] {0, 0, 0x60, 0x44}, 1) // 896
                .floats("p.input_global_scale", 1, 1, 5);

        TensorSource tensors = dequantized(stored, compressedTensors("nvfp4-pack-quantized"));

        assertThat(tensors.names()).containsExactly("p.weight");
        assertThat(floats(tensors, "p.weight"))
                .containsExactly(
                        0.125f, -0.25f, 0.25f, 0, -0.5f, 0.5f, 0, 0.25f, -0.125f, 0.75f, -0.375f, 0.5f, 0.125f, -1, 1,
                        -1.5f);
    }

    @Test
    void stacked_experts_in_mxfp4_come_out_inputs_by_outputs() throws IOException {
        int experts = 3;
        int outputs = 6;
        int inputs = 64;
        Random random = Seeds.random();
        byte[] blocks = new byte[experts * outputs * inputs / 2];
        random.nextBytes(blocks);
        byte[] scales = new byte[experts * outputs * inputs / 32];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = (byte) (120 + random.nextInt(10));
        }
        MapTensors stored = new MapTensors()
                .put("experts.down_proj_blocks", DType.U8, blocks, experts, outputs, inputs / 32, 16)
                .put("experts.down_proj_scales", DType.U8, scales, experts, outputs, inputs / 32);

        TensorSource tensors = dequantized(stored, Map.of("quant_method", "mxfp4"));

        assertThat(tensors.names()).containsExactly("experts.down_proj");
        assertThat(tensors.spec("experts.down_proj").shape()).containsExactly(3L, 64L, 6L);
        float[] values = floats(tensors, "experts.down_proj");
        double[] grid = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
        for (int e = 0; e < experts; e++) {
            for (int n = 0; n < outputs; n++) {
                for (int k = 0; k < inputs; k++) {
                    int code = blocks[(e * outputs + n) * 32 + k / 2] >> (k % 2 == 0 ? 0 : 4) & 15;
                    int exponent = (scales[(e * outputs + n) * 2 + k / 32] & 0xff) - 127;
                    double value = (code > 7 ? -1 : 1) * grid[code % 8] * Math.pow(2, exponent);
                    assertThat((double) values[(e * inputs + k) * outputs + n]).isEqualTo(value);
                }
            }
        }
        // Rows of the second expert and the first of the third, which is how an expert is read.
        int row = 2 * outputs;
        assertThat(tensors.read("experts.down_proj", 64L * row, 65 * row))
                .isEqualTo(tensors.read("experts.down_proj").slice(64 * row, 65 * row));
    }

    @Test
    void what_is_not_read_is_refused_by_name() {
        MapTensors stored = new MapTensors().put("p.weight", DType.U8, new byte[4], 4, 1);
        assertThatThrownBy(() -> dequantized(stored, Map.of("quant_method", "quanto")))
                .isInstanceOf(QuernException.class)
                .hasMessage(
                        "Cannot read the weights of here: they are quantized by quanto (use the original model, "
                                + "or one in gptq, awq, autoround, compressed-tensors, fp8, bitsandbytes, torchao, quanto of 8 bits, mxfp4 or GGUF)");
        assertThatThrownBy(() -> dequantized(stored, Map.of("quant_method", "awq", "version", "marlin")))
                .hasMessageContaining("AWQ's layout marlin is not read");
        assertThatThrownBy(() -> dequantized(stored, Map.of("quant_method", "fp8")))
                .hasMessageContaining("no tensor of it is");
    }

    @Test
    void scales_that_do_not_fit_are_refused() {
        MapTensors stored = new MapTensors()
                .put("p.weight", DType.F8_E4M3, new byte[12], 4, 3)
                .floats("p.weight_scale", 3, 1, 1, 2, 3);
        assertThatThrownBy(() -> dequantized(stored, Map.of("quant_method", "fp8")))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("p.weight_scale is [3, 1], which does not fit a weight of 4 x 3");
    }

    private static Map<String, Object> compressedTensors(String format) {
        return Map.of(
                "quant_method",
                "compressed-tensors",
                "format",
                format,
                "config_groups",
                Map.of("group_0", Map.of("weights", Map.of("num_bits", 8))));
    }

    private static TensorSource dequantized(MapTensors stored, Map<String, Object> quantization) throws IOException {
        Packed packed = Storages.read(new StoredModel("here", stored, new Settings(quantization), false));
        return new DequantizedTensors(stored, packed);
    }

    private static float[] floats(TensorSource tensors, String name) throws IOException {
        int count = (int) tensors.spec(name).elements();
        return HalfFloats.toFloats(tensors.read(name), tensors.spec(name).dtype(), count);
    }
}
