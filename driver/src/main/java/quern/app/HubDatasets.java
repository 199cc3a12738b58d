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

/** The Parquet files of a public data set, or one named file of it, out of the Hub. */
record HubDatasets(Map<String, String> environment) implements DatasetFiles {
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
                return List.of(folder.resolve(config).toString());
            }
            try (Stream<Path> files = Files.walk(folder)) {
                return files.filter(f -> isPart(folder.relativize(f).toString(), config, split))
                        .map(Path::toString)
                        .sorted()
                        .toList();
            }
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot fetch the data set " + dataset + ": " + e.getMessage(), e);
        }
    }

    /** {@code config/split-00000-of-00001.parquet}, the layout of the Hub's own conversion. */
    private static boolean isPart(String file, String config, String split) {
        return file.startsWith(config + "/" + split + "-") && file.endsWith(".parquet");
    }
}
