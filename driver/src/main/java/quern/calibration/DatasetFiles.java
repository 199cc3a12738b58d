package quern.calibration;

import java.util.List;

/** Where the files of a public data set are: the Hub, or a local copy. */
@FunctionalInterface
public interface DatasetFiles {
    /**
     * Hadoop paths of the files of one split, in order; they are fetched first where they must be.
     *
     * @param dataset the Hub's id, {@code owner/name}
     * @param config the configuration, or one file of the data set's repository ({@code en/x.json.gz}) where only that is
     *     wanted
     * @param split train, validation or test
     */
    List<String> paths(String dataset, String config, String split);
}
