package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuFuncSetAttribute;
import static jcuda.driver.JCudaDriver.cuLaunchKernel;
import static jcuda.driver.JCudaDriver.cuModuleGetFunction;
import static jcuda.driver.JCudaDriver.cuModuleLoadData;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;

/** The kernels of one GPU, by name, and how they are started. What they take is known to {@link Kernels} alone. */
final class Launcher {
    /** Dynamic shared memory that needs no leave. */
    private static final int SHARED = 48 << 10;

    private final Gpu gpu;
    private final CUmodule module = new CUmodule();
    private final Map<String, CUfunction> functions = new ConcurrentHashMap<>();
    private final Map<String, Integer> allowed = new ConcurrentHashMap<>(); // bytes of shared memory, by function

    /** @param image a fat binary, of which the driver takes what fits this GPU */
    Launcher(Gpu gpu, byte[] image) {
        this.gpu = gpu;
        gpu.enter();
        gpu.check(cuModuleLoadData(module, image), "cuModuleLoadData");
    }

    /**
     * Threads of a block, and how many blocks there are, along up to three axes.
     *
     * @param shared bytes of dynamic shared memory
     */
    record Geometry(int threads, int threadsY, long blocks, int blocksY, int blocksZ, int shared) {
        /** Elements by themselves: {@code FLAT} of kernels.h. */
        static Geometry flat(long count) {
            return line(256, Math.min(65536, Math.max(1, (count + 1023) / 1024)));
        }

        /** A block for each row: {@code ROWS}. */
        static Geometry rows(long rows) {
            return line(256, rows);
        }

        /** Tiles of 32 x 32: {@code TILES}. */
        static Geometry tiles(int rows, int cols) {
            return new Geometry(32, 8, ceil(cols, 32), ceil(rows, 32), 1, 0);
        }

        /** Eight threads a row: {@code LANES}. */
        static Geometry lanes(int rows, int shared) {
            return new Geometry(256, 1, ceil(rows, 32), 1, 1, shared);
        }

        /** The same for each member of a stack, along the second axis. */
        Geometry times(int members) {
            return new Geometry(threads, threadsY, blocks, members, 1, shared);
        }

        static Geometry line(int threads, long blocks) {
            return new Geometry(threads, 1, blocks, 1, 1, 0);
        }

        static int ceil(long count, int step) {
            return Math.toIntExact((count + step - 1) / step);
        }
    }

    /**
     * Asks for a kernel to be run, as the next of the stream's work.
     *
     * @param arguments a pointer to the value of each parameter, in order
     */
    void launch(Stream stream, String kernel, Geometry shape, Pointer... arguments) {
        gpu.enter();
        CUfunction function = functions.computeIfAbsent(kernel, this::function);
        allow(kernel, function, shape.shared());
        gpu.check(
                cuLaunchKernel(
                        function,
                        Math.toIntExact(shape.blocks()),
                        shape.blocksY(),
                        shape.blocksZ(),
                        shape.threads(),
                        shape.threadsY(),
                        1,
                        shape.shared(),
                        stream.handle(),
                        Pointer.to(arguments),
                        null),
                kernel);
    }

    private CUfunction function(String kernel) {
        CUfunction function = new CUfunction();
        gpu.check(cuModuleGetFunction(function, module, kernel), "cuModuleGetFunction of " + kernel);
        return function;
    }

    private void allow(String kernel, CUfunction function, int shared) {
        if (shared > SHARED && allowed.getOrDefault(kernel, SHARED) < shared) {
            int attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            gpu.check(cuFuncSetAttribute(function, attribute, shared), "cuFuncSetAttribute of " + kernel);
            allowed.merge(kernel, shared, Math::max);
        }
    }
}
