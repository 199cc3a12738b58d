package quern.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.SolveKernels;
import quern.tensor.DType;

/**
 * What no call can be faster than, measured.
 *
 * @param bf16 operations a second of the product of large squares
 * @param fp32 the same
 * @param memory bytes a second, read and written
 * @param bus bytes a second of a weight's upload
 */
record GpuRoofs(double bf16, double fp32, double memory, double bus) {
    static GpuRoofs measured(GpuShapes shapes, GpuClock clock) {
        Device device = shapes.device();
        ForwardKernels forward = device.forward();
        SolveKernels solve = device.solve();
        int n = shapes.size(8192);
        DeviceMatrix x = shapes.random(n, n, DType.BF16);
        DeviceMatrix w = forward.prepare(x);
        double bf16 = 2.0
                * n
                * n
                * n
                / clock.time(() -> forward.linear(x, w, null, DType.BF16).close())[0];
        w.close();
        x.close();
        DeviceMatrix a = shapes.random(shapes.size(4096), shapes.size(4096), DType.F32);
        double m = a.rows();
        double fp32 = 2 * m * m * m / clock.time(() -> solve.addProduct(1, a, a, 0, a.rows(), a))[0];
        a.close();
        DeviceMatrix large = shapes.random(shapes.size(16384), shapes.size(16384), DType.F32);
        double bytes = 4.0 * large.rows() * large.cols();
        double memory =
                2 * bytes / clock.time(() -> forward.scale(large, 1, DType.F32).close())[0];
        large.close();
        ByteBuffer host = ByteBuffer.allocateDirect(2 * shapes.size(4096) * shapes.size(14336))
                .order(ByteOrder.LITTLE_ENDIAN);
        double bus = host.capacity()
                / clock.time(() -> device.upload(
                                host.duplicate().order(ByteOrder.LITTLE_ENDIAN),
                                DType.BF16,
                                shapes.size(4096),
                                shapes.size(14336),
                                DType.BF16)
                        .close())[0];
        GpuRoofs roofs = new GpuRoofs(bf16, fp32, memory, bus);
        System.out.printf(
                Locale.ROOT,
                "roofs, measured: bf16 %.0f TFLOP/s, fp32 %.1f TFLOP/s, memory %.0f GB/s (read and written), upload of a weight %.1f GB/s%n",
                bf16 / 1e12,
                fp32 / 1e12,
                memory / 1e9,
                bus / 1e9);
        return roofs;
    }
}
