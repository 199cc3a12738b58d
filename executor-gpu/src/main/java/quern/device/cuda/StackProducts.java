package quern.device.cuda;

import quern.tensor.DType;

/**
 * Products of the linears of a stack, each by a call of its own and not by one of a batch: how the library cuts it is then what it is for a
 * single linear, and so are the bits.
 */
final class StackProducts {
    private final CudaDevice device;
    private final SplitProducts split;

    StackProducts(CudaDevice device, GridKernels kernels) {
        this.device = device;
        split = new SplitProducts(device, kernels);
    }

    /** sum += a * b[from:from+a.cols(), :] of each member, by {@link SplitProducts}. */
    void addSplit(int members, CudaMatrix a, CudaMatrix b, int from, CudaMatrix sum) {
        int rows = a.rows() / members;
        for (int m = 0; m < members; m++) {
            long left = a.address((long) m * rows, 0);
            long right = b.address((long) m * (b.rows() / members) + from, 0);
            if (apart(sum, members)) {
                split.add(left, rows, a.cols(), right, b.cols(), sum.address((long) m * rows, 0));
                continue;
            }
            try (CudaMatrix into = member(sum, members, m)) {
                split.add(left, rows, a.cols(), right, b.cols(), into.address());
                device.transfers().copy(into.address(), sum.address((long) m * rows, 0), into.bytes());
            }
        }
    }

    /** sum[:, column:column+count] += a * b[row:row+a.cols(), first:first+count] of each member. */
    void add(int members, CudaMatrix a, CudaMatrix b, int row, int first, int count, CudaMatrix sum, int column) {
        boolean inPlace = apart(a, members) && apart(b, members) && apart(sum, members);
        for (int m = 0; m < members; m++) {
            if (inPlace) {
                long top = (long) m * (a.rows() / members);
                long right = b.address((long) m * (b.rows() / members) + row, first);
                add(a.address(top, 0), a.rows() / members, a.cols(), right, b.cols(), count, sum, top, column);
                continue;
            }
            try (CudaMatrix left = member(a, members, m);
                    CudaMatrix right = member(b, members, m);
                    CudaMatrix into = member(sum, members, m)) {
                long there = right.address(row, first);
                add(left.address(), left.rows(), left.cols(), there, b.cols(), count, into, 0, column);
                device.transfers().copy(into.address(), sum.address((long) m * into.rows(), 0), into.bytes());
            }
        }
    }

    /** Whether members begin as matrices of their own do, for by the alignment of an address a library chooses its way. */
    private static boolean apart(CudaMatrix stack, int members) {
        return members == 1 || stack.bytes() / members % Arena.ALIGNMENT == 0;
    }

    /** A copy. */
    private CudaMatrix member(CudaMatrix stack, int members, int member) {
        int rows = stack.rows() / members;
        return device.filled(
                rows,
                stack.cols(),
                stack.dtype(),
                to -> device.transfers().copy(stack.address((long) member * rows, 0), to.address(), to.bytes()));
    }

    /**
     * @param a address of rows x inner
     * @param b address of inner x count, ldb elements from one row to the next
     */
    private void add(long a, int rows, int inner, long b, int ldb, int count, CudaMatrix sum, long row, int column) {
        device.products()
                .multiply(
                        DType.F32,
                        DType.F32,
                        false,
                        false,
                        rows,
                        count,
                        inner,
                        a,
                        inner,
                        b,
                        ldb,
                        1,
                        sum.address(row, column),
                        sum.cols());
    }
}
