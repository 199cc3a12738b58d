package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.dnnl_cpu_isa_avx512_core_bf16;
import static org.bytedeco.dnnl.global.dnnl.dnnl_get_effective_cpu_isa;
import static org.bytedeco.dnnl.global.dnnl.dnnl_version;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.dnnl.dnnl_version_t;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.openblas.global.openblas;
import quern.tensor.DType;

/** What the native libraries are, once they have been loaded: everything that their results' bits depend on. */
final class Natives {
    private static final String[] CORES = {
        "PRESCOTT",
        "CORE2",
        "NEHALEM",
        "SANDYBRIDGE",
        "HASWELL",
        "SKYLAKEX",
        "COOPERLAKE",
        "SAPPHIRERAPIDS",
        "BARCELONA",
        "BULLDOZER",
        "PILEDRIVER",
        "STEAMROLLER",
        "EXCAVATOR",
        "ZEN",
        "ARMV8",
        "ARMV8SVE",
        "CORTEXA53",
        "CORTEXA57",
        "CORTEXA72",
        "CORTEXA73",
        "NEOVERSEN1",
        "NEOVERSEN2",
        "NEOVERSEV1",
        "A64FX",
        "VORTEX",
        "VORTEXM4"
    };

    private Natives() {}

    /** Loads them; {@link LinkageError} or {@link RuntimeException} where that fails. */
    static void load() {
        Loader.load(dnnl.class);
        Loader.load(openblas.class);
        OneThread.inOpenBlas();
        OneThread.here();
    }

    /** BF16 where the processor multiplies it. */
    static DType computeType() {
        int isa = dnnl_get_effective_cpu_isa();
        boolean bf16 = System.getProperty("os.arch", "").equals("amd64")
                && (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
        return bf16 ? DType.BF16 : DType.F32;
    }

    static String type(DType computeType) {
        dnnl_version_t version = dnnl_version();
        return "cpu/" + computeType.name().toLowerCase(Locale.ROOT) + "/onednn-" + version.major() + "."
                + version.minor() + "." + version.patch() + "/" + instructionSet() + "/openblas-" + openBlasVersion()
                + "-"
                + openBlasCore();
    }

    private static String instructionSet() {
        int isa = dnnl_get_effective_cpu_isa();
        Map<Integer, String> names = new LinkedHashMap<>();
        names.put(dnnl.dnnl_cpu_isa_sse41, "sse41");
        names.put(dnnl.dnnl_cpu_isa_avx, "avx");
        names.put(dnnl.dnnl_cpu_isa_avx2, "avx2");
        names.put(dnnl.dnnl_cpu_isa_avx2_vnni, "avx2_vnni");
        names.put(dnnl.dnnl_cpu_isa_avx2_vnni_2, "avx2_vnni_2");
        names.put(dnnl.dnnl_cpu_isa_avx512_core, "avx512_core");
        names.put(dnnl.dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni");
        names.put(dnnl.dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16");
        names.put(dnnl.dnnl_cpu_isa_avx512_core_fp16, "avx512_core_fp16");
        names.put(dnnl.dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx");
        names.put(dnnl.dnnl_cpu_isa_avx512_core_amx_fp16, "avx512_core_amx_fp16");
        names.put(dnnl.dnnl_cpu_isa_avx10_2_512, "avx10_2_512");
        names.put(dnnl.dnnl_cpu_isa_avx10_2_512_amx_2, "avx10_2_512_amx_2");
        boolean tiles = (isa & dnnl.dnnl_cpu_isa_avx512_core_amx) == dnnl.dnnl_cpu_isa_avx512_core_amx;
        return (tiles ? CoreCaches.here() + "/" : "")
                + names.getOrDefault(isa, System.getProperty("os.arch", "") + "-" + Integer.toHexString(isa));
    }

    private static String openBlasVersion() {
        try {
            return Loader.getVersion("org.bytedeco", "openblas");
        } catch (IOException e) {
            return "unknown";
        }
    }

    /** OpenBLAS keeps a pointer to the kernels of the core that it chose; the binding has no function that names it. */
    private static String openBlasCore() {
        Pointer chosen = Loader.addressof("gotoblas");
        if (chosen == null) {
            return System.getProperty("os.arch", "");
        }
        long kernels = new LongPointer(chosen).get();
        for (String core : CORES) {
            Pointer candidate = Loader.addressof("gotoblas_" + core);
            if (candidate != null && candidate.address() == kernels) {
                return core;
            }
        }
        return "unknown";
    }
}
