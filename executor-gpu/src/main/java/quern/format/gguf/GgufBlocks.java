package quern.format.gguf;

import java.nio.ByteBuffer;
import quern.tensor.HalfFloats;

/**
 * The blocks of ggml. {@code d} is a block's scale, {@code m} what is added or taken away, {@code q} a code; the order of the float
 * operations is that of ggml's reference, so that the bits are, too.
 */
final class GgufBlocks {
    /** The grid of IQ4: denser around zero. */
    private static final int[] IQ4 = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    private static final float[] E2M1 = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

    private GgufBlocks() {}

    static void f32(ByteBuffer b, int from, float[] into, int at) {
        into[at] = b.getFloat(from);
    }

    static void f16(ByteBuffer b, int from, float[] into, int at) {
        into[at] = half(b, from);
    }

    static void bf16(ByteBuffer b, int from, float[] into, int at) {
        into[at] = HalfFloats.fromBf16(b.getShort(from));
    }

    /** f16 d; u8 qs[16]: values 0 to 15 in the lower halves, 16 to 31 in the upper ones. */
    static void q4v0(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * (nibble(b, from + 2, i) - 8);
        }
    }

    /** f16 d; f16 m; u8 qs[16]. */
    static void q4v1(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        float m = half(b, from + 2);
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * nibble(b, from + 4, i) + m;
        }
    }

    /** f16 d; u32 qh; u8 qs[16]: the fifth bit of value i is bit i of qh. */
    static void q5v0(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        int high = b.getInt(from + 2);
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * ((nibble(b, from + 6, i) | (high >>> i & 1) << 4) - 16);
        }
    }

    /** f16 d; f16 m; u32 qh; u8 qs[16]. */
    static void q5v1(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        float m = half(b, from + 2);
        int high = b.getInt(from + 4);
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * (nibble(b, from + 8, i) | (high >>> i & 1) << 4) + m;
        }
    }

    /** f16 d; i8 qs[32]. */
    static void q8v0(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * b.get(from + 2 + i);
        }
    }

    /** u8 scales[16], one for 16 values, the scale in the lower half; u8 qs[64]; f16 d; f16 m. */
    static void q2k(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from + 80);
        float m = half(b, from + 82);
        for (int i = 0; i < 256; i++) {
            int scale = unsigned(b, from + i / 16);
            into[at + i] = d * (scale & 15) * twoBits(b, from + 16, i) - m * (scale >> 4);
        }
    }

    /** u8 hmask[32]; u8 qs[64]; u8 scales[12], 16 of 6 bits; f16 d. */
    static void q3k(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from + 108);
        int scales = from + 96;
        for (int i = 0; i < 256; i++) {
            int s = i / 16;
            int low = unsigned(b, scales + s % 8) >> (s < 8 ? 0 : 4) & 15;
            int scale = low | (unsigned(b, scales + 8 + s % 4) >> 2 * (s / 4) & 3) << 4;
            int q = twoBits(b, from + 32, i) | (unsigned(b, from + i % 32) >> i / 32 & 1) << 2;
            into[at + i] = d * (scale - 32) * (q - 4);
        }
    }

    /** f16 d; f16 m; u8 scales[12], 8 scales and 8 minima of 6 bits; u8 qs[128]. */
    static void q4k(ByteBuffer b, int from, float[] into, int at) {
        for (int s = 0; s < 8; s++) {
            float scale = half(b, from) * scaleK(b, from + 4, s);
            float minimum = half(b, from + 2) * minimumK(b, from + 4, s);
            for (int i = 0; i < 32; i++) {
                int q = unsigned(b, from + 16 + s / 2 * 32 + i) >> s % 2 * 4 & 15;
                into[at + 32 * s + i] = scale * q - minimum;
            }
        }
    }

    /** f16 d; f16 m; u8 scales[12]; u8 qh[32]; u8 qs[128]: the fifth bit of value i is bit i / 32 of qh[i % 32]. */
    static void q5k(ByteBuffer b, int from, float[] into, int at) {
        for (int s = 0; s < 8; s++) {
            float scale = half(b, from) * scaleK(b, from + 4, s);
            float minimum = half(b, from + 2) * minimumK(b, from + 4, s);
            for (int i = 0; i < 32; i++) {
                int low = unsigned(b, from + 48 + s / 2 * 32 + i) >> s % 2 * 4 & 15;
                int high = unsigned(b, from + 16 + i) >> s & 1;
                into[at + 32 * s + i] = scale * (low | high << 4) - minimum;
            }
        }
    }

    /** u8 ql[128]; u8 qh[64]; i8 scales[16]; f16 d. */
    static void q6k(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from + 208);
        for (int i = 0; i < 256; i++) {
            int half = i / 128;
            int quarter = i % 128 / 32;
            int low = unsigned(b, from + 64 * half + 32 * (quarter & 1) + i % 32) >> (quarter < 2 ? 0 : 4) & 15;
            int high = unsigned(b, from + 128 + 32 * half + i % 32) >> 2 * quarter & 3;
            into[at + i] = d * b.get(from + 192 + i / 16) * ((low | high << 4) - 32);
        }
    }

    /** f16 d; u8 qs[16]. */
    static void iq4nl(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * IQ4[nibble(b, from + 2, i)];
        }
    }

    /** f16 d; u16 scales_h; u8 scales_l[4], 8 scales of 6 bits; u8 qs[128]. */
    static void iq4xs(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from);
        int high = b.getShort(from + 2);
        for (int i = 0; i < 256; i++) {
            int s = i / 32;
            int scale = unsigned(b, from + 4 + s / 2) >> 4 * (s % 2) & 15 | (high >> 2 * s & 3) << 4;
            into[at + i] = d * (scale - 32) * IQ4[nibble(b, from + 8 + 16 * s, i % 32)];
        }
    }

    /** u8 qs[64]; f16 d: -1, 0 and 1 as 0, 1 and 2. */
    static void tq2(ByteBuffer b, int from, float[] into, int at) {
        float d = half(b, from + 64);
        for (int i = 0; i < 256; i++) {
            into[at + i] = d * (twoBits(b, from, i) - 1);
        }
    }

    /** u8 e, a power of two; u8 qs[16], E2M1. */
    static void mxfp4(ByteBuffer b, int from, float[] into, int at) {
        float d = HalfFloats.fromF8E8M0(b.get(from));
        for (int i = 0; i < 32; i++) {
            into[at + i] = d * E2M1[nibble(b, from + 1, i)];
        }
    }

    /** The first four of 6 bits are in bytes 0 to 3, whose upper bits are those of the others. */
    private static int scaleK(ByteBuffer b, int scales, int s) {
        return s < 4
                ? unsigned(b, scales + s) & 63
                : unsigned(b, scales + 4 + s) & 15 | unsigned(b, scales + s - 4) >> 6 << 4;
    }

    /** The same in bytes 4 to 7. */
    private static int minimumK(ByteBuffer b, int scales, int s) {
        return s < 4
                ? unsigned(b, scales + 4 + s) & 63
                : unsigned(b, scales + 4 + s) >> 4 | unsigned(b, scales + s) >> 6 << 4;
    }

    /** Value i of 32: the first 16 in the lower halves of the bytes. */
    private static int nibble(ByteBuffer b, int from, int i) {
        return unsigned(b, from + i % 16) >> i / 16 * 4 & 15;
    }

    /** Value i of 256, 128 in each 32 bytes, 32 in the same two bits. */
    private static int twoBits(ByteBuffer b, int from, int i) {
        return unsigned(b, from + i / 128 * 32 + i % 32) >> i % 128 / 32 * 2 & 3;
    }

    private static int unsigned(ByteBuffer b, int at) {
        return b.get(at) & 0xff;
    }

    private static float half(ByteBuffer b, int at) {
        return HalfFloats.fromF16(b.getShort(at));
    }
}
