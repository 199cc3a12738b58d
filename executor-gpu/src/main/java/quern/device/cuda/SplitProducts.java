package quern.device.cuda;

import quern.tensor.DType;

/**
 * Products of fp32 matrices on the matrix units, which do ten times as many a second as the units of fp32. Operands are cut into halves
 * of bf16, a = a1 + a2 and b = b1 + b2 but for 2^-16 of each, and
 *
 * <pre>
 * a b = a1 b1 + a1 b2 + a2 b1                (a2 b2 is 2^-16 of it at most)
 *     = [a1 a1 a2] [b1; b2; b1]
 * </pre>
 *
 * is one product of bf16 with sums in fp32, three times as deep. What it lacks is at most 2^-14 of |a| |b|, and in the mean what an
 * fp32 sum of some thousand numbers lacks by itself.
 */
final class SplitProducts {
    /** Rows of b at a time, which bounds the memory of the halves and the sums within the matrix units. */
    private static final int INNER = 2048;

    private static final int THREE = 3; // halves side by side

    private final CudaDevice device;
    private final GridKernels kernels;

    SplitProducts(CudaDevice device, GridKernels kernels) {
        this.device = device;
        this.kernels = kernels;
    }

    /**
     * sum += a * b.
     *
     * @param a address of rows x inner, F32
     * @param b address of inner x cols, F32
     * @param sum address of rows x cols, F32
     */
    void add(long a, int rows, int inner, long b, int cols, long sum) {
        for (int from = 0; from < inner; from += INNER) {
            int some = Math.min(INNER, inner - from);
            int deep = THREE * some;
            long left = (long) rows * deep * DType.BF16.bytes();
            long right = (long) deep * cols * DType.BF16.bytes();
            try (Arena.Block ofA = device.arena().allocate(left);
                    Arena.Block ofB = device.arena().allocate(right)) {
                long beside = (long) some * DType.BF16.bytes();
                long below = right / THREE;
                kernels.split(
                        a + (long) from * DType.F32.bytes(),
                        inner,
                        rows,
                        some,
                        ofA.address(),
                        ofA.address() + 2 * beside,
                        ofA.address() + beside,
                        deep);
                kernels.split(
                        b + (long) from * cols * DType.F32.bytes(),
                        cols,
                        some,
                        cols,
                        ofB.address(),
                        ofB.address() + below,
                        ofB.address() + 2 * below,
                        cols);
                device.products()
                        .multiply(
                                DType.BF16,
                                DType.F32,
                                false,
                                false,
                                rows,
                                cols,
                                deep,
                                ofA.address(),
                                deep,
                                ofB.address(),
                                cols,
                                1,
                                sum,
                                cols);
            }
        }
    }
}
