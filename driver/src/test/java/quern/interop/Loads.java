package quern.interop;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * A line of {@code interop/loads.txt}: the tests load what stands there, and the support page says so.
 *
 * @param kind what the words mean
 * @param words what is made
 * @param loaders where it is loaded
 */
record Loads(String kind, List<String> words, List<LoadCase.Loader> loaders) {
    static List<Loads> all() {
        try (InputStream in = Loads.class.getResourceAsStream("/interop/loads.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .filter(line -> !line.isBlank() && !line.startsWith("#"))
                    .map(Loads::parsed)
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static List<Loads> of(String kind) {
        return all().stream().filter(l -> l.kind().equals(kind)).toList();
    }

    private static Loads parsed(String line) {
        String[] columns = line.split("\\|", -1);
        return new Loads(
                columns[0].strip(),
                words(columns[1]),
                words(columns[2]).stream().map(LoadCase.Loader::valueOf).toList());
    }

    private static List<String> words(String column) {
        return column.isBlank() ? List.of() : Arrays.asList(column.strip().split(" +"));
    }

    LoadCase.Loader[] programs() {
        return loaders.toArray(LoadCase.Loader[]::new);
    }
}
