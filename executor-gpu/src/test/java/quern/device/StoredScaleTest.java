package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import quern.device.Grids.Multiples;
import quern.tensor.DType;
import quern.tensor.Matrix;

class StoredScaleTest {
    private static final StoredScale POSITIVE = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);
    private static final StoredScale SIGNED = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, true);

    @Test
    void a_scale_is_positive_finite_and_exact_in_its_type() {
        assertThat(POSITIVE.stored(1 + 0x1p-12f)).isEqualTo(1);
        assertThat(POSITIVE.stored(0)).isEqualTo(0x1p-24f);
        assertThat(POSITIVE.stored(1e6f)).isEqualTo(65504);
    }

    @Test
    void only_where_scales_have_a_sign_is_one_near_a_negative_number() {
        assertThat(POSITIVE.nearest(-0.3f)).isNaN();
        assertThat(POSITIVE.nearest(0)).isNaN();
        assertThat(SIGNED.nearest(-0.5f)).isEqualTo(-0.5f);
        assertThat(SIGNED.nearest(0.5f)).isEqualTo(0.5f);
        assertThat(SIGNED.stored(-1e6f)).isEqualTo(-65504);
        assertThat(SIGNED.stored(-0f)).isEqualTo(0x1p-24f);
        assertThat(POSITIVE.stored(-0.5f)).isEqualTo(0x1p-24f);
    }

    @Test
    void powers_of_two_are_those_below_but_from_seven_quarters_on() {
        StoredScale powers = new StoredScale(DType.F8_E8M0, 1, Float.MIN_NORMAL, 0x1p127f, false);
        assertThat(powers.stored(1.74f)).isEqualTo(1);
        assertThat(powers.stored(1.75f)).isEqualTo(2);
        assertThat(powers.stored(0.3f)).isEqualTo(0.25f);
    }

    @Test
    void a_divisor_is_taken_out_again() {
        StoredScale divided = new StoredScale(DType.F8_E4M3, 3, 0x1p-9f, 448, false);
        assertThat(divided.stored(0.34f)).isEqualTo(1f / 3);
    }

    @Test
    void no_multiple_of_a_unit_is_zero() {
        try (Device device = Devices.open("java");
                DeviceMatrix units = device.upload(new Matrix(1, 1, new float[] {0.5f}), DType.F32)) {
            Multiples multiples = new Multiples(units, null, 16, -32, 31);
            assertThat(multiples.nearest(0.1f, 0.5f)).isEqualTo(0.5f);
            assertThat(multiples.nearest(1.1f, 0.5f)).isEqualTo(1);
            assertThat(multiples.nearest(-100, 0.5f)).isEqualTo(-16);
            assertThat(multiples.nearest(100, 0.5f)).isEqualTo(15.5f);
        }
    }
}
