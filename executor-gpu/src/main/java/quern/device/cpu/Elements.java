package quern.device.cpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import quern.tensor.DType;

/** Little-endian elements as floats, one by one. */
final class Elements {
    private Elements() {}

    static float[] decode(ByteBuffer elements, DType type) {
        ByteBuffer in = elements.slice().order(ByteOrder.LITTLE_ENDIAN);
        float[] out = new float[in.remaining() / type.bytes()];
        switch (type) {
            case F32:
                in.asFloatBuffer().get(out);
                return out;
            case F64:
                for (int i = 0; i < out.length; i++) {
                    out[i] = (float) in.getDouble(8 * i);
                }
                return out;
            case BF16:
                for (int i = 0; i < out.length; i++) {
                    out[i] = Float.intBitsToFloat(in.getShort(2 * i) << 16);
                }
                return out;
            case F16:
                for (int i = 0; i < out.length; i++) {
                    out[i] = half(in.getShort(2 * i));
                }
                return out;
            default:
                throw new IllegalArgumentException("Elements of type " + type + " are not plain floats");
        }
    }

    /** IEEE 754 binary16. */
    private static float half(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = bits >> 10 & 0x1f;
        int fraction = bits & 0x3ff;
        if (exponent == 0) {
            return Float.intBitsToFloat(sign | Float.floatToRawIntBits(fraction * 0x1p-24f));
        }
        int wide = exponent == 0x1f ? 0xff : exponent + 112;
        return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
    }
}
