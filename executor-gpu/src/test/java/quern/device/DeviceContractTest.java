package quern.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What holds of every device: matrices here, and each kernel against its definition in double precision in the classes above.
 */
abstract class DeviceContractTest extends ForwardContract {
    @Test
    void matrices_come_back_as_they_went() {
        Matrix m = random(3, 37);
        try (DeviceMatrix there = device.upload(m, DType.F32);
                DeviceMatrix zeros = device.zeros(5, 7, compute)) {
            assertThat(device.download(there).values()).isEqualTo(m.values());
            assertThat(device.download(zeros).values()).containsOnly(0f);
            assertThat(List.of(zeros.rows(), zeros.cols())).containsExactly(5, 7);
            assertThat(zeros.dtype()).isEqualTo(compute);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F64", "F32", "F16", "BF16"})
    void elements_of_every_float_type_are_read(DType type) {
        float[] values = {0f, -0f, 1f, -1.5f, 0.0078125f, 240f, 0x1p-14f, -0x1.cp-3f};
        for (boolean direct : new boolean[] {true, false}) {
            ByteBuffer bytes = (direct
                            ? ByteBuffer.allocateDirect(4 + values.length * type.bytes())
                            : ByteBuffer.allocate(4 + values.length * type.bytes()))
                    .order(ByteOrder.LITTLE_ENDIAN);
            bytes.position(4);
            for (float value : values) {
                put(bytes, type, value);
            }
            bytes.position(4);
            try (DeviceMatrix there = device.upload(bytes, type, 2, 4, compute)) {
                assertThat(device.download(there).values()).isEqualTo(values);
            }
        }
    }

    /** Values that every type holds exactly, and none of them subnormal. */
    private static void put(ByteBuffer bytes, DType type, float value) {
        int bits = Float.floatToRawIntBits(value);
        switch (type) {
            case F64:
                bytes.putDouble(value);
                break;
            case F32:
                bytes.putFloat(value);
                break;
            case BF16:
                bytes.putShort((short) (bits >>> 16));
                break;
            default:
                int sign = bits >>> 16 & 0x8000;
                bytes.putShort((short) (value == 0 ? sign : sign | (bits >>> 13) - (112 << 10) & 0x7fff));
        }
    }

    @Test
    void rounding_to_the_compute_type_is_to_nearest_even() {
        float[] values = {1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1.8p-8f, 3.0e38f};
        float[] nearest = {1f, 1 + 0x1p-6f, -1 - 0x1p-7f, Float.intBitsToFloat(0x7f62 << 16)};
        try (DeviceMatrix there = device.upload(new Matrix(1, 4, values), compute)) {
            float[] expected = compute == DType.BF16 ? nearest : values;
            assertThat(device.download(there).values()).isEqualTo(expected);
        }
    }

    @Test
    void a_closed_matrix_cannot_be_read_where_memory_is_native() {
        assumeFalse(device.name().equals("java"), "Skipped: matrices are on the heap");
        DeviceMatrix m = device.upload(random(3, 3), DType.F32);
        m.close();
        m.close();
        assertThatThrownBy(() -> device.download(m)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void a_matrix_of_another_device_is_refused() {
        DeviceMatrix foreign = new DeviceMatrix() {
            @Override
            public int rows() {
                return 1;
            }

            @Override
            public int cols() {
                return 1;
            }

            @Override
            public DType dtype() {
                return DType.F32;
            }

            @Override
            public void close() {}
        };
        assertThatThrownBy(() -> device.download(foreign)).isInstanceOf(IllegalArgumentException.class);
    }
}
