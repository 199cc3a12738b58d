package quern.source;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;

/**
 * How ggml stores values: in blocks, each some values of one row.
 *
 * <p>Of the types of its {@code ggml-common.h} those are missing whose blocks look values up in large tables (IQ1 to IQ3), and NVFP4
 * and TQ1_0.
 */
enum GgufType {
    F32(0, 1, 4, DType.F32, GgufBlocks::f32),
    F16(1, 1, 2, DType.F16, GgufBlocks::f16),
    BF16(30, 1, 2, DType.BF16, GgufBlocks::bf16),
    Q4_0(2, 32, 18, null, GgufBlocks::q4v0),
    Q4_1(3, 32, 20, null, GgufBlocks::q4v1),
    Q5_0(6, 32, 22, null, GgufBlocks::q5v0),
    Q5_1(7, 32, 24, null, GgufBlocks::q5v1),
    Q8_0(8, 32, 34, null, GgufBlocks::q8v0),
    Q2_K(10, 256, 84, null, GgufBlocks::q2k),
    Q3_K(11, 256, 110, null, GgufBlocks::q3k),
    Q4_K(12, 256, 144, null, GgufBlocks::q4k),
    Q5_K(13, 256, 176, null, GgufBlocks::q5k),
    Q6_K(14, 256, 210, null, GgufBlocks::q6k),
    IQ4_NL(20, 32, 18, null, GgufBlocks::iq4nl),
    IQ4_XS(23, 256, 136, null, GgufBlocks::iq4xs),
    TQ2_0(35, 256, 66, null, GgufBlocks::tq2),
    MXFP4(39, 32, 17, null, GgufBlocks::mxfp4);

    private final int number;
    private final int values;
    private final int bytes;
    private final @Nullable DType plain;
    private final Block block;

    GgufType(int number, int values, int bytes, @Nullable DType plain, Block block) {
        this.number = number;
        this.values = values;
        this.bytes = bytes;
        this.plain = plain;
        this.block = block;
    }

    /** Decodes one block. */
    @FunctionalInterface
    interface Block {
        /** From byte {@code from} of the buffer to {@code into} from {@code at} on. */
        void decode(ByteBuffer bytes, int from, float[] into, int at);
    }

    /** The type of this number, or null. */
    static @Nullable GgufType of(int number) {
        for (GgufType type : values()) {
            if (type.number == number) {
                return type;
            }
        }
        return null;
    }

    /** The type of files that it is the same as; null if its values are in few bits. */
    @Nullable
    DType plain() {
        return plain;
    }

    /** Whether a row of so many values is a whole number of blocks. */
    boolean fits(long cols) {
        return cols % values == 0;
    }

    /** Bytes of so many values. */
    long bytes(long count) {
        return Math.multiplyExact(count / values, (long) bytes);
    }

    /** {@code count} values, whole blocks. */
    float[] decode(ByteBuffer stored, int count) {
        float[] into = new float[count];
        for (int block = 0; block < count / values; block++) {
            this.block.decode(stored, stored.position() + block * bytes, into, block * values);
        }
        return into;
    }
}
