package quern.app;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import quern.calibration.DatasetFiles;
import quern.hub.Hub;

/** The Parquet files of a public data set, or one named file of it, out of the Hub. Executors read them where this machine has them. */
record HubDatasets(Map<String, String> environment, Sight sight) implements DatasetFiles {
    @Override
    public List<String> paths(String dataset, String config, String split) {
        boolean oneFile = config.contains(".");
        try {
            Path folder = new Hub(environment)
                    .dataset(
                            dataset,
                            "main",
                            f -> oneFile ? f.equals(config) : isPart(f, config, split),
                            (done, total) -> {});
            if (oneFile) {
                sight.require("read text from", folder.toString(), config);
                return List.of(folder.resolve(config).toString());
            }
            List<String> parts;
            try (Stream<Path> files = Files.walk(folder)) {
                parts = files.map(f -> folder.relativize(f).toString())
                        .filter(f -> isPart(f, config, split))
                        .sorted()
                        .toList();
            }
            for (String part : parts) {
                sight.require("read text from", folder.toString(), part);
            }
            return parts.stream().map(p -> folder.resolve(p).toString()).toList();
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot fetch the data set " + dataset + ": " + e.getMessage(), e);
        }
    }

    /** {@code config/split-00000-of-00001.parquet}, the layout of the Hub's own conversion. */
    private static boolean isPart(String file, String config, String split) {
        return file.startsWith(config + "/" + split + "-") && file.endsWith(".parquet");
    }
}
