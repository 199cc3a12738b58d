package quern.bench;

import java.io.IOException;
import java.nio.file.Path;
import quern.device.Device;
import quern.device.Devices;

/**
 * The kernels of the CUDA device at the shapes of Llama-3-8B, each beside the roof it is under. Arguments: a JSON file to write, and
 * {@code tiny} for shapes that a machine without a GPU can take.
 *
 * <p>Roofs are measured in the same run, not read off a data sheet: the bf16 and the fp32 product of cuBLAS on large squares (and for
 * a sum of products, on the same shape), a copy within device memory, a copy from the host. What a row says of work is the least
 * that has to be done: each operand read once, each result written once; operations of the algorithm, not of the launch. A row near
 * neither roof waits for something else.
 *
 * <p>A time is that of the public call, by the host's clock: calls follow each other until a few milliseconds are full, and then the
 * host waits; so it holds launches and small copies too, which is what a run pays. Median, least and most of repeats after two that do
 * not count. Not yet run on a GPU.
 */
final class GpuBench {
    private GpuBench() {}

    public static void main(String[] args) throws IOException {
        boolean tiny = args.length > 1 && args[1].equals("tiny");
        try (Device device = Devices.open("cuda")) {
            System.out.println(device.type());
            GpuShapes shapes = new GpuShapes(device, tiny ? 32 : 1);
            GpuClock clock = new GpuClock(device);
            GpuRoofs roofs = GpuRoofs.measured(shapes, clock);
            GpuTable table = new GpuTable(roofs, clock);
            new GpuProducts(shapes, clock, table).measure();
            new GpuSolves(shapes, clock, table).measure();
            new GpuLayerPieces(shapes, table).measure();
            table.write(device.type(), Path.of(args[0]));
            System.exit(table.failed() ? 1 : 0);
        }
    }
}
