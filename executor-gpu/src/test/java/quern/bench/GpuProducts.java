package quern.bench;

import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.tensor.DType;

/** Linears of a layer, and the sums of products of what goes into them. */
final class GpuProducts {
    /** Columns of one product of a sum of products: {@code CudaForward.PANEL}. */
    private static final int PANEL = 2048;

    private final GpuShapes shapes;
    private final GpuClock clock;
    private final GpuTable table;
    private final ForwardKernels forward;
    private final Device device;

    GpuProducts(GpuShapes shapes, GpuClock clock, GpuTable table) {
        this.shapes = shapes;
        this.clock = clock;
        this.table = table;
        forward = shapes.device().forward();
        device = shapes.device();
    }

    void measure() {
        int tokens = shapes.size(8192);
        for (int[] shape : new int[][] {{4096, 4096}, {4096, 14336}, {14336, 4096}}) {
            int inputs = shapes.size(shape[0]);
            int outputs = shapes.size(shape[1]);
            DeviceMatrix x = shapes.random(tokens, inputs, DType.BF16);
            DeviceMatrix stored = shapes.random(outputs, inputs, DType.BF16);
            DeviceMatrix w = forward.prepare(stored);
            table.add(
                    "linear %d x %d -> %d".formatted(tokens, inputs, outputs),
                    () -> forward.linear(x, w, null, DType.BF16).close(),
                    2.0 * tokens * inputs * outputs,
                    2.0 * (tokens * (double) inputs + outputs * (double) inputs + tokens * (double) outputs),
                    table.roofs().bf16(),
                    "");
            GpuShapes.close(x, stored, w);
        }
        for (int real : new int[] {4096, 8192, 14336}) {
            gram(tokens, shapes.size(real));
        }
    }

    /** Beside one product of cuBLAS of the same shape, n x n over the tokens, which also computes the upper half. */
    private void gram(int tokens, int n) {
        DeviceMatrix left = shapes.random(n, tokens, DType.BF16);
        DeviceMatrix w = forward.prepare(left);
        double whole = clock.time(() -> forward.linear(left, w, null, DType.F32).close())[0];
        GpuShapes.close(left, w);
        double peak = 2.0 * n * n * tokens / whole;
        DeviceMatrix x = shapes.random(tokens, n, DType.BF16);
        DeviceMatrix gram = device.zeros(n, n, DType.F32);
        double executed = 0;
        for (int column = 0; column < n; column += PANEL) {
            executed += 2.0 * tokens * (n - column) * Math.min(PANEL, n - column);
        }
        table.add(
                "sum of products %d over %d tokens".formatted(n, tokens),
                () -> forward.addGram(x, gram),
                executed,
                2.0 * tokens * n + 4.0 * n * n,
                peak,
                "one product of this shape runs at %.0f TFLOP/s; panels compute %.0f %% of it"
                        .formatted(peak / 1e12, 50.0 * executed / ((double) n * n * tokens)));
        GpuShapes.close(x, gram);
    }
}
