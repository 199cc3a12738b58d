package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import quern.QuernException;
import quern.Seeds;
import quern.scheme.Blocks;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.QuantizedLinear.Units;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/** What holds for every format. */
class FormatContractTest {
    private static final String P = "model.layers.0.self_attn.q_proj";

    static Stream<Arguments> every_format_and_scheme() {
        return Formats.all().stream()
                .filter(format -> !format.isPlain())
                .flatMap(format -> schemes(format).stream().map(scheme -> Arguments.of(format.name(), scheme)));
    }

    /** All that it can store, and what it stores where a recipe leaves it open. */
    static Set<Scheme> schemes(Format format) {
        Set<Scheme> schemes = new LinkedHashSet<>();
        schemes.add(format.scheme(format.settled(Recipe.OPEN), DType.BF16));
        for (int bits : new int[] {1, 2, 3, 4, 8}) {
            for (int group : new int[] {-1, 16, 32, 64, 128}) {
                for (boolean symmetric : new boolean[] {true, false}) {
                    for (ColumnOrder order : ColumnOrder.values()) {
                        Recipe recipe = Recipe.OPEN
                                .edit()
                                .method("rtn")
                                .format(format.name())
                                .bits(bits)
                                .groupSize(group)
                                .symmetric(symmetric)
                                .actOrder(order)
                                .scales(ScaleRule.MAX)
                                .percdamp(0.01)
                                .recipe();
                        try {
                            Scheme scheme = format.scheme(format.settled(recipe), DType.BF16);
                            if (!symmetric) {
                                assertThat(scheme.symmetric())
                                        .as("zero points that were asked for")
                                        .isFalse();
                            }
                            if (format.refuses(scheme, 128, 128) == null) {
                                schemes.add(scheme);
                            }
                        } catch (QuernException e) {
                            assertThat(e).hasMessageStartingWith("Cannot write format " + format.name() + ": ");
                        }
                    }
                }
            }
        }
        return schemes;
    }

    /** Unless another method is asked for, a format that is only rounded has the scales of its own tools; a solve with text searches them. */
    @Test
    void a_method_that_is_asked_for_searches_scales() {
        Recipe solved = Recipe.OPEN.edit().method("gptq").recipe();
        for (Format format : Formats.all()) {
            if (format.isPlain()) {
                continue;
            }
            Recipe own = format.settled(Recipe.OPEN);
            assertThat(own.scales())
                    .as(format.name())
                    .isEqualTo(own.method().equals("gptq") ? ScaleRule.SALIENCY : ScaleRule.MAX);
            assertThat(format.settled(solved).scales()).as(format.name()).isEqualTo(ScaleRule.SALIENCY);
        }
    }

    @ParameterizedTest
    @MethodSource("every_format_and_scheme")
    void what_is_packed_is_unpacked_again(String name, Scheme scheme) throws Exception {
        Format format = Formats.named(name);
        Random random = Seeds.random();
        for (int[] shape : new int[][] {{32, 64}, {96, 192}, {128, 256}}) {
            if (shape[1] % scheme.groupLength(shape[1]) != 0 || format.refuses(scheme, shape[0], shape[1]) != null) {
                continue;
            }
            QuantizedLinear q = random(scheme, shape[0], shape[1], random);

            PackedTensors packed = PackedTensors.of(format, P, q);
            QuantizedLinear back = format.unpack(P, packed, scheme);

            assertThat(back.scheme()).isEqualTo(scheme);
            assertThat(back.codes()).isEqualTo(q.codes());
            if (format.keepsScales()) {
                assertThat(back.scales()).isEqualTo(q.scales());
            } else {
                assertThat(back.scales()).containsExactly(q.scales(), within(0.02f));
            }
            assertThat(back.divisor()).isEqualTo(q.divisor());
            if (format.keepsScales()) {
                assertThat(back.zeros()).isEqualTo(q.zeros());
            } else { // stored as a product with the scale
                assertThat(back.zeros()).containsExactly(q.zeros(), within(0.06f));
            }
            assertThat(back.groupOfColumn()).isEqualTo(q.groupOfColumn());
        }
    }

    @ParameterizedTest
    @MethodSource("every_format_and_scheme")
    void the_layout_is_the_size_of_what_is_packed(String name, Scheme scheme) {
        Format format = Formats.named(name);
        QuantizedLinear q = random(scheme, 128, 256, Seeds.random());

        List<TensorSpec> layout = format.layout(P, 128, 256, scheme);
        List<ByteBuffer> buffers = format.pack(q);

        assertThat(buffers.stream().map(ByteBuffer::remaining).map(Integer::longValue))
                .isEqualTo(layout.stream().map(TensorSpec::bytes).toList());
        assertThat(layout).allMatch(spec -> spec.name().startsWith(P + "."));
        assertThat(layout).anyMatch(spec -> spec.name().equals(P + "." + format.codes()));
    }

    static Stream<Arguments> every_scheme_with_a_configuration() {
        return every_format_and_scheme()
                .filter(each -> Formats.named((String) each.get()[0]).container() == Container.SAFETENSORS);
    }

    @ParameterizedTest
    @MethodSource("every_scheme_with_a_configuration")
    void a_scheme_survives_the_configuration(String name, Scheme scheme) throws Exception {
        Format format = Formats.named(name);
        Map<String, Object> written =
                format.quantizationConfig(Recipe.DEFAULT, Schemes.all(scheme), List.of(P), List.of());
        ObjectMapper json = new ObjectMapper();
        @SuppressWarnings("unchecked")
        Map<String, Object> read = json.readValue(json.writeValueAsString(written), Map.class);

        Scheme back = format.schemes(read, DType.BF16).usual();

        assertThat(back).isNotNull();
        assertThat(back.bits()).isEqualTo(scheme.bits());
        assertThat(back.groupSize()).isEqualTo(scheme.groupSize());
        assertThat(back.symmetric()).isEqualTo(scheme.symmetric());
        assertThat(back.scaleType()).isEqualTo(scheme.scaleType());
        boolean needsIndex = scheme.order() == ColumnOrder.FULL;
        if (scheme.groupSize() != -1) {
            assertThat(back.order() == ColumnOrder.FULL).isEqualTo(needsIndex);
        }
        assertThat(Formats.of(read, DType.BF16)).isSameAs(format);
    }

    static Stream<String> formats_that_mix() {
        return Formats.all().stream()
                .filter(format -> format.mixes() && format.container() == Container.SAFETENSORS)
                .map(Format::name);
    }

    @ParameterizedTest
    @MethodSource("formats_that_mix")
    void every_linear_of_a_mixture_keeps_its_scheme(String name) throws Exception {
        Format format = Formats.named(name);
        Scheme usual = new Scheme(4, 128, true, false, ColumnOrder.STATIC, format.scaleType(DType.BF16));
        Scheme wide = new Scheme(8, 64, true, false, ColumnOrder.STATIC, format.scaleType(DType.BF16));
        Scheme narrow = new Scheme(3, 128, true, false, ColumnOrder.STATIC, format.scaleType(DType.BF16));
        Map<String, Scheme> linears = new LinkedHashMap<>();
        linears.put("model.layers.1.mlp.up_proj", usual);
        linears.put("model.layers.1.mlp.gate_proj", usual);
        linears.put("model.layers.1.mlp.down_proj", wide);
        linears.put("model.layers.11.mlp.down_proj", narrow);
        linears.put("model.layers.11.mlp.up_proj", usual);
        Map<String, Object> written = format.quantizationConfig(
                Recipe.DEFAULT, Schemes.of(linears), List.copyOf(linears.keySet()), List.of("model.layers.0.kept"));
        ObjectMapper json = new ObjectMapper();
        @SuppressWarnings("unchecked")
        Map<String, Object> read = json.readValue(json.writeValueAsString(written), Map.class);

        Schemes back = Formats.of(read, DType.BF16).schemes(read, DType.BF16);

        linears.forEach((linear, scheme) -> assertThat(back.of(linear)).isEqualTo(scheme));
    }

    @Test
    void an_unknown_format_is_refused_with_the_known_ones() {
        assertThatThrownBy(() -> Formats.named("gptq3"))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot write format gptq3: it is unknown (use one of gptq, gptq_v2, awq, ");
    }

    @Test
    void a_checkpoint_of_another_format_is_refused_with_its_name() {
        assertThatThrownBy(() -> Formats.of(Map.of("quant_method", "aqlm", "bits", 4), DType.F16))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("quant_method is aqlm")
                .hasMessageContaining("compressed-tensors");
    }

    @Test
    void damaged_tensors_are_refused_by_name() {
        for (Format format : Formats.all().stream().filter(f -> !f.isPlain()).toList()) {
            Scheme scheme = indexed(format)
                    ? new Scheme(4, 32, false, false, ColumnOrder.FULL, format.scaleType(DType.F16))
                    : format.scheme(format.settled(Recipe.OPEN), DType.BF16);
            QuantizedLinear q = random(scheme, 128, 256, Seeds.random());
            for (TensorSpec spec : format.layout(P, 128, 256, scheme)) {
                PackedTensors missing = PackedTensors.of(format, P, q);
                missing.specs.remove(spec.name());
                assertThatThrownBy(() -> format.unpack(P, missing, scheme))
                        .as(spec.name())
                        .isInstanceOf(QuernException.class)
                        .hasMessageContaining(spec.name());

                PackedTensors otherType = PackedTensors.of(format, P, q);
                otherType.specs.put(spec.name(), new TensorSpec(spec.name(), DType.I16, spec.shape()));
                assertThatThrownBy(() -> format.unpack(P, otherType, scheme))
                        .as(spec.name())
                        .isInstanceOf(QuernException.class)
                        .hasMessageContaining(spec.name());
            }
        }
    }

    /** Whether it stores the group of each input. */
    private static boolean indexed(Format format) {
        return List.of("gptq", "gptq_v2", "compressed-tensors").contains(format.name());
    }

    @Test
    void a_group_that_is_not_there_is_refused_by_name() {
        for (Format format :
                Formats.all().stream().filter(FormatContractTest::indexed).toList()) {
            Scheme scheme = new Scheme(4, 32, false, false, ColumnOrder.FULL, format.scaleType(DType.F16));
            PackedTensors strayGroup = PackedTensors.of(format, P, random(scheme, 64, 64, Seeds.random()));
            String index = strayGroup.names().stream()
                    .filter(n -> n.endsWith("g_idx"))
                    .findFirst()
                    .orElseThrow();
            strayGroup.bytes.get(index).putInt(20, 2);
            assertThatThrownBy(() -> format.unpack(P, strayGroup, scheme))
                    .isInstanceOf(QuernException.class)
                    .hasMessageContaining("names group 2 of 2");
        }
    }

    @Test
    void a_code_that_does_not_fit_is_an_error() {
        byte[] codes = new byte[64];
        codes[13] = 8;
        assertThatThrownBy(() -> BitPacking.packRows(codes, 1, 64, 3)).isInstanceOf(IllegalArgumentException.class);
        assertThat(BitPacking.packRows(codes, 1, 64, 4).remaining()).isEqualTo(32);
    }

    @Test
    void rows_of_any_length_are_packed_as_a_stream_of_bits() {
        Random random = Seeds.random();
        for (int bits : new int[] {2, 3, 4, 8}) {
            for (int cols = 1; cols < 70; cols++) {
                byte[] codes = new byte[3 * cols];
                for (int i = 0; i < codes.length; i++) {
                    codes[i] = (byte) random.nextInt(1 << bits);
                }
                ByteBuffer packed = BitPacking.packRows(codes, 3, cols, bits);
                int stride = 32 * BitPacking.words(cols, bits);
                for (int i = 0; i < 3 * cols; i++) {
                    for (int bit = 0; bit < bits; bit++) {
                        int at = i / cols * stride + i % cols * bits + bit;
                        assertThat(packed.get(at / 8) >> at % 8 & 1).isEqualTo(codes[i] >> bit & 1);
                    }
                }
                assertThat(BitPacking.unpackRows(packed, 3, cols, bits)).isEqualTo(codes);
            }
        }
    }

    /** Codes without any order, and with group-of-column shuffled where the order allows it. */
    static QuantizedLinear random(Scheme scheme, int outputs, int inputs, Random random) {
        int groups = scheme.groups(inputs);
        byte[] codes = new byte[outputs * inputs];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) random.nextInt(scheme.highestCode() + 1);
        }
        float divisor = scheme.scaleType() == DType.F8_E4M3 ? 3 : 1;
        float[] scales = new float[outputs * groups];
        float[] zeros = new float[outputs * groups];
        int lowest = scheme.grid().lowestZero();
        for (int i = 0; i < scales.length; i++) {
            int rows = scheme.rowsOfScale() == -1 ? outputs : scheme.rowsOfScale();
            float scale = 0.001f + random.nextFloat();
            scales[i] = i / groups % rows > 0
                    ? scales[i - groups]
                    : scheme.scaleType() == DType.F8_E8M0
                            ? Math.scalb(1f, Math.getExponent(scale))
                            : HalfFloats.round(scale, scheme.scaleType()) / divisor;
            zeros[i] = lowest + random.nextInt(scheme.grid().highestZero() - lowest + 1);
        }
        Blocks blocks = scheme.blocks();
        int[] groupOfColumn = new int[inputs];
        Arrays.setAll(groupOfColumn, i -> i / scheme.groupLength(inputs));
        if (scheme.order() == ColumnOrder.FULL) {
            for (int i = inputs - 1; i > 0; i--) {
                int j = random.nextInt(i + 1);
                int t = groupOfColumn[i];
                groupOfColumn[i] = groupOfColumn[j];
                groupOfColumn[j] = t;
            }
        }
        Units units = blocks == null ? Units.NONE : nest(blocks, scales, zeros, groups, random);
        return new QuantizedLinear(scheme, outputs, inputs, codes, scales, zeros, groupOfColumn, divisor, units);
    }

    /** Multiples of a unit, and minima as zeros. */
    private static Units nest(Blocks blocks, float[] scales, float[] zeros, int groups, Random random) {
        Units units = blocks.nested() ? Units.of(blocks, scales.length / blocks.groups()) : Units.NONE;
        for (int i = 0; i < scales.length; i++) {
            int block = i / blocks.groups();
            float minimum = HalfFloats.round(random.nextFloat() - 0.5f, DType.F16);
            if (blocks.nested()) {
                if (i % blocks.groups() == 0) {
                    units.scales()[block] = scales[i];
                }
                int multiple = blocks.lowest() + random.nextInt(blocks.highest() - blocks.lowest() + 1);
                scales[i] = units.scales()[block] * (multiple == 0 ? 1 : multiple);
                if (blocks.minima()) {
                    units.minima()[block] = 0.25f;
                    minimum = 0.25f * random.nextInt(blocks.highest() + 1);
                }
            }
            if (blocks.minima()) {
                zeros[i] = minimum / scales[i];
            }
        }
        return units;
    }
}
