package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
import quern.Seeds;
import quern.scheme.ColumnOrder;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** Weights before and after, each by w = scale * (value - zero), after the target's bytes were written and read. */
class ConversionTest {
    private static final int OUTPUTS = 64;
    private static final int INPUTS = 256;

    private final Random random = Seeds.random();

    @ParameterizedTest
    @CsvSource({
        "gptq, awq, 4, 32, true, F16",
        "gptq, gptq_v2, 3, 64, false, F16",
        "gptq_v2, gptq, 2, 32, false, F16",
        "gptq, compressed-tensors, 4, -1, true, F16",
        "gptq, compressed-tensors, 3, 32, false, F16",
        "gptq, compressed-tensors-int8, 8, -1, true, F16",
        "gptq, hqq, 4, 64, false, F16",
        "gptq, hqq, 4, -1, true, F16", // groups of 128 have the row's scale
        "gptq, awq, 2, 64, true, F16", // a wider code has the same value
        "gptq, awq, 3, 32, false, F16",
        "awq, gptq_v2, 4, 32, false, F16",
        "awq, compressed-tensors, 4, 32, false, F16",
        "compressed-tensors, gptq, 4, 32, true, F16",
        "compressed-tensors-int8, gptq, 8, -1, true, F16",
        "compressed-tensors, gptq, 4, 64, true, BF16", // each of these scales is a half float, too
    })
    void weights_stay_bit_for_bit(String from, String to, int bits, int group, boolean symmetric, DType scales)
            throws Exception {
        Scheme source = integers(bits, group, symmetric, scales);
        Conversion conversion = new Conversion(Formats.named(from), Formats.named(to));

        Scheme target = conversion.scheme(source, "p", OUTPUTS, INPUTS);

        assertThat(Conversion.bound(source, target)).isZero();
        QuantizedLinear before = linear(source);
        assertThat(read(conversion, before, target).dequantize().values())
                .isEqualTo(before.dequantize().values());
    }

    @ParameterizedTest
    @CsvSource({
        "hqq, gptq_v2, F32, 0x1p-11",
        "bitsandbytes-int8, compressed-tensors-int8, BF16, 0x1.1p-8",
        "bitsandbytes-int8, gptq, F32, 0x1.1p-11",
    })
    void what_is_rounded_stays_within_the_bound_that_is_named(String from, String to, DType scales, String most)
            throws Exception {
        boolean parts = from.equals("bitsandbytes-int8");
        Scheme source = parts
                ? new Scheme(LevelGrid.INT8, -1, 1, ColumnOrder.OFF, DType.F32)
                : integers(4, 32, from.startsWith("compressed"), scales);
        Conversion conversion = new Conversion(Formats.named(from), Formats.named(to));
        Scheme target = conversion.scheme(source, "p", OUTPUTS, INPUTS);
        if (to.equals("compressed-tensors-int8")) {
            target = target.with(DType.BF16);
        }
        double bound = Conversion.bound(source, target);
        QuantizedLinear before = linear(source);
        float[] a = before.dequantize().values();
        float[] b = read(conversion, before, target).dequantize().values();

        double largest = 0;
        for (int i = 0; i < a.length; i++) {
            largest = Math.max(largest, a[i] == b[i] ? 0 : Math.abs(b[i] - (double) a[i]) / Math.abs(a[i]));
        }
        System.out.printf("%s to %s: largest %.3g, bound %.3g%n", from, to, largest, bound);
        assertThat(bound).isPositive().isLessThanOrEqualTo(Double.parseDouble(most));
        assertThat(largest).isPositive().isLessThanOrEqualTo(bound);
    }

    @ParameterizedTest
    @CsvSource({
        "fp8, compressed-tensors-fp8",
        "bitsandbytes-nf4, gptq",
        "bitsandbytes-nf4, bitsandbytes-nf4-nested",
        "bitsandbytes-nf4, bitsandbytes-fp4",
        "gptq, bitsandbytes-nf4",
        "compressed-tensors, awq", // 8 bits
        "compressed-tensors, compressed-tensors-int8", // zero points
    })
    void what_would_choose_codes_anew_is_refused(String from, String to) {
        Format source = Formats.named(from);
        Scheme scheme = from.equals("compressed-tensors") || from.equals("gptq")
                ? integers(8, -1, false, DType.F16)
                : source.scheme(source.settled(quern.scheme.Recipe.OPEN), DType.F16);

        assertThatThrownBy(() -> new Conversion(source, Formats.named(to)).scheme(scheme, "p", OUTPUTS, INPUTS))
                .isInstanceOf(QuernException.class)
                .hasMessageMatching(
                        "Cannot convert p from " + from + " to " + to + ": .+ \\(quern quantize MODEL --format " + to
                                + " chooses codes anew, of the original model if you have it\\)");
    }

    @Test
    void columns_in_groups_by_importance_need_an_index() {
        Scheme full = new Scheme(4, 32, true, false, ColumnOrder.FULL, DType.F16);
        assertThatThrownBy(() ->
                        new Conversion(Formats.named("gptq"), Formats.named("awq")).scheme(full, "p", OUTPUTS, INPUTS))
                .isInstanceOf(QuernException.class);
        Scheme target = new Conversion(Formats.named("gptq"), Formats.named("compressed-tensors"))
                .scheme(full, "p", OUTPUTS, INPUTS);
        assertThat(target.order()).isEqualTo(ColumnOrder.FULL);
    }

    @Test
    void columns_that_are_not_in_runs_are_seen_where_the_config_does_not_say_so() {
        Scheme source = integers(4, 32, true, DType.F16);
        QuantizedLinear q = linear(source);
        q.groupOfColumn()[0] = 3;
        Conversion conversion = new Conversion(Formats.named("gptq"), Formats.named("awq"));
        assertThatThrownBy(() -> conversion.of("p", q, conversion.scheme(source, "p", OUTPUTS, INPUTS)))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("its columns are in groups by importance");
    }

    @Test
    void a_zero_point_of_0_has_no_place_in_the_first_gptq() {
        Scheme source = integers(4, 32, false, DType.F16);
        QuantizedLinear q = linear(source);
        q.zeros()[3] = 0;
        Conversion conversion = new Conversion(Formats.named("awq"), Formats.named("gptq"));
        assertThatThrownBy(() -> conversion.of("p", q, conversion.scheme(source, "p", OUTPUTS, INPUTS)))
                .hasMessageContaining("it has a zero point of 0, for which format gptq has no place, gptq_v2 has");
        q.zeros()[3] = 7.5f;
        Conversion fractional = new Conversion(Formats.named("hqq"), Formats.named("gptq_v2"));
        assertThatThrownBy(() -> fractional.of("p", q, fractional.scheme(source, "p", OUTPUTS, INPUTS)))
                .hasMessageContaining("it has a zero point of 7.5");
    }

    @Test
    void a_scale_that_half_floats_do_not_have_is_refused() {
        Scheme source = integers(4, 32, true, DType.BF16);
        QuantizedLinear q = linear(source);
        q.scales()[5] = 0x1.1p-25f;
        Conversion conversion = new Conversion(Formats.named("compressed-tensors"), Formats.named("gptq"));
        assertThatThrownBy(() -> conversion.of("p", q, conversion.scheme(source, "p", OUTPUTS, INPUTS)))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("has no place among numbers of type F16");
    }

    private static Scheme integers(int bits, int group, boolean symmetric, DType scales) {
        return new Scheme(bits, group, symmetric, false, ColumnOrder.OFF, scales);
    }

    private static QuantizedLinear read(Conversion conversion, QuantizedLinear q, Scheme target) throws Exception {
        QuantizedLinear converted = conversion.of("p", q, target);
        return conversion.to().unpack("p", PackedTensors.of(conversion.to(), "p", converted), target);
    }

    /** Random codes, and scales of the scheme's type over four powers of two. */
    private QuantizedLinear linear(Scheme scheme) {
        Grid grid = scheme.grid();
        byte[] codes = new byte[OUTPUTS * INPUTS];
        int count = grid instanceof IntegerGrid ? 1 << grid.bits() : grid.levels().length;
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) random.nextInt(count);
        }
        int groups = OUTPUTS * scheme.groups(INPUTS);
        float[] scales = new float[groups];
        float[] zeros = new float[groups];
        for (int g = 0; g < groups; g++) {
            scales[g] = HalfFloats.round(
                    (float) ((grid == LevelGrid.INT8 ? 127 : 1) * Math.exp(-7 + 3 * random.nextDouble())),
                    scheme.scaleType());
            zeros[g] = grid instanceof LevelGrid
                    ? 0
                    : scheme.symmetric() ? scheme.middle() : 1 + random.nextInt((1 << scheme.bits()) - 1);
        }
        return new QuantizedLinear(
                scheme,
                OUTPUTS,
                INPUTS,
                codes,
                scales,
                zeros,
                QuantizedLinear.runs(INPUTS, scheme.groupLength(INPUTS)));
    }
}
