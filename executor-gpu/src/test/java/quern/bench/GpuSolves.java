package quern.bench;

import java.util.Arrays;
import java.util.stream.IntStream;
import quern.device.BlockSearch;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.Grids;
import quern.device.SolveKernels;
import quern.tensor.DType;

/** The steps of a solve. */
final class GpuSolves {
    private static final int BLOCK = 128;

    private final GpuShapes shapes;
    private final GpuClock clock;
    private final GpuTable table;
    private final ForwardKernels forward;
    private final SolveKernels solve;
    private final Device device;

    GpuSolves(GpuShapes shapes, GpuClock clock, GpuTable table) {
        this.shapes = shapes;
        this.clock = clock;
        this.table = table;
        forward = shapes.device().forward();
        solve = shapes.device().solve();
        device = shapes.device();
    }

    void measure() {
        for (int real : new int[] {4096, 14336}) {
            int n = shapes.size(real);
            DeviceMatrix h = shapes.hessian(n);
            table.add(
                    "factor %d".formatted(n),
                    () -> clock.time(() -> forward.scale(h, 1, DType.F32), this::factored),
                    (double) n * n * n / 3,
                    8.0 * n * n,
                    table.roofs().fp32(),
                    "waits for the result");
            DeviceMatrix r = forward.scale(h, 1, DType.F32);
            factored(r);
            if (real == 4096) {
                table.add(
                        "diagonal of the inverse %d".formatted(n),
                        () -> check(solve.inverseDiagonal(r).length == n),
                        (double) n * n * n / 3,
                        8.0 * n * n,
                        table.roofs().fp32(),
                        "waits for the result");
            }
            for (int outputs : real == 4096 ? new int[] {4096, 14336} : new int[] {4096}) {
                columns(shapes.size(outputs), n, r, h);
            }
            GpuShapes.close(h, r);
        }
    }

    private void factored(DeviceMatrix h) {
        check(solve.factor(h));
    }

    /** Of a block of columns in the middle of a weight; codes of four bits, a group for each block. */
    private void columns(int outputs, int n, DeviceMatrix r, DeviceMatrix h) {
        int block = Math.min(BLOCK, n / 4);
        int groups = n / block;
        DeviceMatrix w = shapes.random(outputs, n, DType.F32);
        DeviceMatrix working = forward.scale(w, 1, DType.F32);
        DeviceMatrix codes = device.zeros(outputs, n, DType.U8);
        Grids grids = shapes.grids(outputs, groups);
        int[] first = new int[block];
        int[] last = new int[block];
        Arrays.fill(last, groups - 1);
        int from = groups / 2 * block;
        int to = from + block;
        double cells = (double) outputs * block;
        String of = " of %d columns, %d x %d".formatted(block, outputs, n);
        table.add(
                "sweep" + of,
                () -> solve.sweep(w, working, r, n - block, n, grids, new int[][] {last}, codes),
                cells * block,
                cells * (4 + 4 + 4 + 1) + 4.0 * block * block,
                table.roofs().fp32(),
                "each column waits for the one before");
        table.add(
                "relax" + of,
                () -> solve.relax(w, working, r, from, to).close(),
                cells * block,
                cells * (4 + 4 + 4),
                table.roofs().fp32(),
                "");
        int behind = n - block;
        table.add(
                "sweep and product for the %d columns behind, %d x %d".formatted(behind, outputs, n),
                () -> solve.sweep(w, working, r, 0, block, grids, new int[][] {first}, codes),
                cells * block + 2 * cells * behind,
                8.0 * outputs * behind + cells * (4 + 4 + 4 + 1) + 4.0 * block * n,
                table.roofs().fp32(),
                "");
        table.add(
                "descent" + of,
                () -> solve.descend(w, h, from, to, grids, groups / 2, codes, GpuCheck.half())
                        .close(),
                2 * cells * block,
                cells * (4 + 1 + 1 + 4) + 4.0 * block * block,
                table.roofs().fp32(),
                "each column waits for the one before");
        searches(w, working, r, grids, block);
        GpuShapes.close(w, working, codes);
        grids.close();
    }

    /** Of scales: of all groups, of groups on the way of a sweep, of ggml's blocks. */
    private void searches(DeviceMatrix w, DeviceMatrix working, DeviceMatrix r, Grids grids, int block) {
        int outputs = w.rows();
        int n = w.cols();
        String of = ", %d x %d".formatted(outputs, n);
        float[] factors = new float[48];
        for (int i = 0; i < factors.length; i++) {
            factors[i] = 1.1f - 0.015f * i;
        }
        DeviceMatrix importance = device.upload(GpuShapes.filled(1, n, 1), DType.F32);
        int[] all = IntStream.range(0, grids.groups()).toArray();
        for (Measure measure : Measure.values()) {
            GridSearch search =
                    new GridSearch(grids.values(), true, 7.5f, 8, 8, 8, GpuCheck.half(), measure, factors, 1);
            table.add(
                    "search of %d scales by %s%s".formatted(factors.length, measure, of),
                    () -> solve.search(
                            w,
                            measure == Measure.SQUARES ? importance : null,
                            search,
                            0,
                            block,
                            new int[][] {all},
                            grids),
                    6.0 * factors.length * outputs * n,
                    4.0 * outputs * n,
                    table.roofs().fp32(),
                    "6 operations for each weight and scale; divisions and powers cost more");
        }
        GridSearch squares =
                new GridSearch(grids.values(), true, 7.5f, 8, 8, 8, GpuCheck.half(), Measure.SQUARES, factors, 1);
        DeviceMatrix codes = device.zeros(outputs, n, DType.U8);
        DeviceMatrix ofBlock = device.upload(GpuShapes.filled(1, block, 1), DType.F32);
        double cells = (double) outputs * block;
        table.add(
                "sweep of %d columns that searches%s".formatted(block, of),
                () -> solve.sweep(
                        w,
                        working,
                        r,
                        n - block,
                        n,
                        ofBlock,
                        squares,
                        block,
                        new int[][] {new int[block]},
                        grids,
                        codes),
                cells * (2 * block + 6.0 * factors.length),
                cells * (4 + 4 + 4 + 1) + 4.0 * block * block,
                table.roofs().fp32(),
                "each column waits for the one before, twice");
        // Of Q4_K: 37 scales for each group, with a minimum.
        BlockSearch blocks = new BlockSearch(new CodeValues(null, 0, 15), 0, n % 256 == 0 ? 32 : 8, 8, 0, 63, true);
        Grids ofBlocks = Grids.of(blocks, outputs, n, device);
        table.add(
                "search of blocks with minima" + of,
                () -> solve.search(w, importance, blocks, ofBlocks).close(),
                37.0 * 17 * outputs * n,
                5.0 * outputs * n,
                table.roofs().fp32(),
                "17 operations for each weight and scale");
        GpuShapes.close(codes, ofBlock, importance);
        ofBlocks.close();
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw new IllegalStateException("A call did not give what it has to");
        }
    }
}
