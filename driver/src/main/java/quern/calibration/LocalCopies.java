package quern.calibration;

import java.util.Locale;
import java.util.Optional;
import org.apache.spark.sql.SparkSession;

/**
 * Local copies of named sets: {@code spark.quern.dataset.wikitext2=/data/wikitext2} in Spark's configuration, or
 * {@code QUERN_DATASET_WIKITEXT2} in the environment. A value with {@code {split}} in it has that replaced by train,
 * validation or test.
 */
record LocalCopies(SparkSession spark) {
    Optional<String> path(String name, String split) {
        String key = "spark.quern.dataset." + name;
        String value = spark.sparkContext().getConf().get(key, "");
        if (value.isEmpty()) {
            value = System.getenv().getOrDefault("QUERN_DATASET_" + name.toUpperCase(Locale.ROOT), "");
        }
        return value.isEmpty() ? Optional.empty() : Optional.of(value.replace("{split}", split));
    }
}
