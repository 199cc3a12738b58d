package quern.device.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The first- and second-level caches of a core, as Linux tells them.
 *
 * <p>oneDNN's products on AMX tiles cut the inner dimension into chunks that fit the second level
 * ({@code matmul_amx_blocking_params_t}), and each chunk may be a sum of its own: there the bits may depend on it (read in its
 * source, not seen: no machine with AMX was at hand). Those for AVX2 and
 * AVX-512 choose their blocks by the shapes alone; with the sizes changed from 16 KiB to 128 KiB and 256 KiB to 8 MiB inside
 * of oneDNN 3.11, products of 15 shapes kept every bit.
 */
final class CoreCaches {
    private static final Path FIRST_CORE = Path.of("/sys/devices/system/cpu/cpu0/cache");

    private CoreCaches() {}

    /** {@code l1-48K-l2-2048K}. */
    static String here() {
        return of(FIRST_CORE);
    }

    static String of(Path folder) {
        TreeMap<String, String> sizes = new TreeMap<>();
        try (var caches = Files.newDirectoryStream(folder, "index*")) {
            for (Path cache : caches) {
                String level = read(cache.resolve("level"));
                if (!read(cache.resolve("type")).equals("Instruction") && Integer.parseInt(level) <= 2) {
                    sizes.put("l" + level, read(cache.resolve("size")));
                }
            }
        } catch (IOException | NumberFormatException e) {
            return "caches-unknown";
        }
        return sizes.isEmpty()
                ? "caches-unknown"
                : sizes.entrySet().stream()
                        .map(level -> level.getKey() + "-" + level.getValue())
                        .collect(Collectors.joining("-"));
    }

    private static String read(Path file) throws IOException {
        return Files.readString(file).strip();
    }
}
