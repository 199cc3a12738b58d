package quern.device.cpu;

import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.openblas.presets.openblas_nolapack.SetNumThreads;
import org.jspecify.annotations.Nullable;

/**
 * Holds native libraries to the calling thread. The bits of a sum depend on how many threads share it, and the number of
 * threads of a host is not part of a plan.
 */
final class OneThread {
    private static final @Nullable Setter OPENMP = openMp();

    private OneThread() {}

    /** OpenMP keeps its number of threads by thread, hence before each call; it takes nanoseconds. */
    static void here() {
        if (OPENMP != null) {
            OPENMP.call(1);
        }
    }

    /** OpenBLAS keeps its number of threads by process. */
    static void inOpenBlas() {
        openblas.blas_set_num_threads(1);
    }

    /** Whether oneDNN's OpenMP was found; without one oneDNN was built sequential. */
    static boolean hasOpenMp() {
        return OPENMP != null;
    }

    private static @Nullable Setter openMp() {
        String jni = Loader.load(dnnl.class);
        Loader.load(openblas.class);
        // The copy that libdnnl is linked to: the JVM loaded it, but did not make its symbols visible.
        Path library = Path.of(jni).resolveSibling("libgomp.so.1");
        if (!Files.exists(library)) {
            return null;
        }
        Loader.loadGlobal(library.toString());
        Pointer function = Loader.addressof("omp_set_num_threads");
        return function == null || function.isNull() ? null : new Setter(function);
    }

    /** A call of {@code void f(int)} by address. */
    private static final class Setter extends SetNumThreads {
        Setter(Pointer function) {
            put(function);
        }
    }
}
