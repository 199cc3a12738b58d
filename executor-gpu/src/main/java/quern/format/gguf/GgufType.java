package quern.format.gguf;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import quern.scheme.Blocks;
import quern.scheme.ColumnOrder;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.Scheme;
import quern.tensor.DType;

/**
 * How ggml stores values: in blocks, each some values of one row.
 *
 * <p>Of the types of its {@code ggml-common.h} those are missing whose blocks look values up in large tables (IQ1 to IQ3), and NVFP4
 * and TQ1_0.
 */
public enum GgufType {
    F32(0, 1, 4, DType.F32, GgufBlocks::f32),
    F16(1, 1, 2, DType.F16, GgufBlocks::f16),
    BF16(30, 1, 2, DType.BF16, GgufBlocks::bf16),
    Q4_0(2, 32, 18, GgufBlocks::q4v0, integers(4, true), Blocks.single(false), BlockLayout.Q4_0),
    Q4_1(3, 32, 20, GgufBlocks::q4v1, integers(4, false), Blocks.single(true), BlockLayout.Q4_1),
    Q5_0(6, 32, 22, GgufBlocks::q5v0, integers(5, true), Blocks.single(false), BlockLayout.Q5_0),
    Q5_1(7, 32, 24, GgufBlocks::q5v1, integers(5, false), Blocks.single(true), BlockLayout.Q5_1),
    Q8_0(8, 32, 34, GgufBlocks::q8v0, integers(8, true), Blocks.single(false), BlockLayout.Q8_0),
    Q2_K(10, 256, 84, GgufBlocks::q2k, integers(2, false), new Blocks(16, 0, 15, true), BlockLayout.Q2_K),
    Q3_K(11, 256, 110, GgufBlocks::q3k, integers(3, true), new Blocks(16, -32, 31, false), BlockLayout.Q3_K),
    Q4_K(12, 256, 144, GgufBlocks::q4k, integers(4, false), new Blocks(8, 0, 63, true), BlockLayout.Q4_K),
    Q5_K(13, 256, 176, GgufBlocks::q5k, integers(5, false), new Blocks(8, 0, 63, true), BlockLayout.Q5_K),
    Q6_K(14, 256, 210, GgufBlocks::q6k, integers(6, true), new Blocks(16, -128, 127, false), BlockLayout.Q6_K),
    IQ4_NL(20, 32, 18, GgufBlocks::iq4nl, LevelGrid.IQ4, Blocks.single(false), BlockLayout.IQ4_NL),
    IQ4_XS(23, 256, 136, GgufBlocks::iq4xs, LevelGrid.IQ4, new Blocks(8, -32, 31, false), BlockLayout.IQ4_XS),
    TQ2_0(35, 256, 66, null, GgufBlocks::tq2),
    MXFP4(39, 32, 17, null, GgufBlocks::mxfp4);

    private final int number;
    private final int values;
    private final int bytes;
    private final @Nullable DType plain;
    private final Block block;
    private final @Nullable Scheme scheme;
    private final @Nullable BlockLayout layout;

    /** Types that are read only, or hold values as they are. */
    GgufType(int number, int values, int bytes, @Nullable DType plain, Block block) {
        this.number = number;
        this.values = values;
        this.bytes = bytes;
        this.plain = plain;
        this.block = block;
        scheme = null;
        layout = null;
    }

    GgufType(int number, int values, int bytes, Block block, Grid grid, Blocks blocks, BlockLayout layout) {
        this.number = number;
        this.values = values;
        this.bytes = bytes;
        this.plain = null;
        this.block = block;
        this.layout = layout;
        scheme = new Scheme(grid, values / blocks.groups(), 1, ColumnOrder.STATIC, DType.F16, blocks);
    }

    private static IntegerGrid integers(int bits, boolean symmetric) {
        return new IntegerGrid(bits, symmetric, false);
    }

    /** Decodes one block. */
    @FunctionalInterface
    interface Block {
        /** From byte {@code from} of the buffer to {@code into} from {@code at} on. */
        void decode(ByteBuffer bytes, int from, float[] into, int at);
    }

    /** The type of this number, or null. */
    public static @Nullable GgufType of(int number) {
        for (GgufType type : values()) {
            if (type.number == number) {
                return type;
            }
        }
        return null;
    }

    /** The type whose codes mean this, in whatever order they were chosen. */
    static GgufType of(Scheme scheme) {
        Scheme anyhow = scheme.with(ColumnOrder.STATIC);
        for (GgufType type : values()) {
            if (anyhow.equals(type.scheme)) {
                return type;
            }
        }
        throw new IllegalArgumentException("No type of ggml's has codes of " + scheme);
    }

    /** Its number in files. */
    public int number() {
        return number;
    }

    /** What its codes mean; null where it holds values as they are, or is only read. */
    public @Nullable Scheme scheme() {
        return scheme;
    }

    /** Where its codes and scales lie in a block. */
    BlockLayout layout() {
        if (layout == null) {
            throw new IllegalStateException(this + " is not written");
        }
        return layout;
    }

    /** The type of files that it is the same as; null if its values are in few bits. */
    public @Nullable DType plain() {
        return plain;
    }

    /** Of a block. */
    public int block() {
        return values;
    }

    /** Whether a row of so many values is a whole number of blocks. */
    public boolean fits(long cols) {
        return cols % values == 0;
    }

    /** Bytes of so many values. */
    public long bytes(long count) {
        return Math.multiplyExact(count / values, (long) bytes);
    }

    /** {@code count} values, whole blocks. */
    public float[] decode(ByteBuffer stored, int count) {
        float[] into = new float[count];
        for (int block = 0; block < count / values; block++) {
            this.block.decode(stored, stored.position() + block * bytes, into, block * values);
        }
        return into;
    }
}
